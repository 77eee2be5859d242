// What a page does for `benchmarks.canvas`: opens one live view at a time, tells when its first picture was presented, and reads
// the frame counter burned into each picture (simulators/devices/stamp.py) from a canvas, with the moment it could be read.
(() => {
  const FPS_ROWS = 18;
  const MARGIN = 4;
  const BITS = 20;

  const canvas = document.createElement("canvas");
  const paint = canvas.getContext("2d", { willReadFrequently: true });
  let video = null;
  let close = () => {};
  let asked = 0;
  let answered = 0;
  let first = null;

  /** Tell how far this page's clock is from the system's, in ms: the moment at which Date.now() turns is known exactly. */
  function clockOffset() {
    let best = -Infinity;
    for (let round = 0; round < 5; round += 1) {
      const before = Date.now();
      let turned = before;
      while (turned === before) turned = Date.now();
      best = Math.max(best, turned - performance.timeOrigin - performance.now());
    }
    return performance.timeOrigin + best;
  }

  function prepare() {
    video = document.createElement("video");
    video.muted = video.autoplay = video.playsInline = true;
    video.style.cssText = "position:fixed;inset:0;width:960px;z-index:9999";
    document.body.append(video);
    first = new Promise((done) => video.requestVideoFrameCallback(() => done(performance.now())));
    asked = answered = performance.now();
  }

  /** Give the times from the request to the first picture presented, and to the answer, in ms. */
  async function shown() {
    return [(await first) - asked, answered - asked];
  }

  /** Watch a stream at the hub with the product's own player; the time runs from its WHEP request. */
  async function hub(stream) {
    const { LiveView } = await import("/static/live-view.js");
    prepare();
    const real = window.fetch;
    window.fetch = async (...all) => {
      if (!String(all[0]).endsWith("/whep")) return real(...all);
      asked = performance.now();
      const reply = await real(...all);
      answered = performance.now();
      return reply;
    };
    const view = new LiveView(stream, video);
    close = () => view.close();
    try {
      await view.open();
    } finally {
      window.fetch = real;
    }
    return shown();
  }

  function connection() {
    const made = new RTCPeerConnection();
    const here = video;
    made.addEventListener("track", (event) => (here.srcObject = new MediaStream([event.track])));
    close = () => made.close();
    return made;
  }

  /** Watch by an offer of ours; `exchange` is the program that measures. */
  async function offer() {
    prepare();
    const peer = connection();
    peer.addTransceiver("video", { direction: "recvonly" });
    await peer.setLocalDescription(await peer.createOffer());
    asked = performance.now();
    const sdp = await window.exchange(peer.localDescription.sdp);
    answered = performance.now();
    await peer.setRemoteDescription({ type: "answer", sdp });
    return shown();
  }

  /** Answer an offer of the server's. */
  async function answer(sdp) {
    const peer = connection();
    await peer.setRemoteDescription({ type: "offer", sdp });
    await peer.setLocalDescription(await peer.createAnswer());
    answered = performance.now();
    return peer.localDescription.sdp;
  }

  /** Read the frame's index from one line of pixels; -1 when its check does not hold. */
  function read(line, block) {
    let value = 0;
    for (let at = 0; at < BITS; at += 1) {
      const pixel = 4 * (MARGIN + at * block + (block >> 1));
      if (0.299 * line[pixel] + 0.587 * line[pixel + 1] + 0.114 * line[pixel + 2] > 128) value |= 1 << at;
    }
    const word = value & 0xffff;
    return value >> 16 === ((word ^ (word >> 4) ^ (word >> 8) ^ (word >> 12) ^ 10) & 15) ? word : -1;
  }

  /** Give [index, ms of its canvas, ms of its last packet, ms of its presentation, decoding ms] of each picture, Unix time. */
  async function collect(seconds) {
    const origin = clockOffset();
    const until = performance.now() + 1000 * seconds;
    const found = [];
    await new Promise((done) => {
      const seen = (_, frame) => {
        const { videoWidth: width, videoHeight: height } = video;
        const block = Math.floor(height / FPS_ROWS);
        if (canvas.width !== width) canvas.width = width;
        if (canvas.height !== height) canvas.height = height;
        paint.drawImage(video, 0, 0);
        const line = paint.getImageData(0, MARGIN + (block >> 1), 2 * MARGIN + BITS * block, 1).data;
        const drawn = performance.now();
        found.push([read(line, block), origin + drawn, origin + (frame.receiveTime ?? 0), origin + frame.presentationTime, 1000 * (frame.processingDuration ?? 0)]);
        if (drawn < until) video.requestVideoFrameCallback(seen);
        else done();
      };
      video.requestVideoFrameCallback(seen);
    });
    return found;
  }

  function leave() {
    close();
    video.remove();
    video = null;
  }

  window.bench = { hub, offer, answer, prepare, shown, collect, leave };
})();
