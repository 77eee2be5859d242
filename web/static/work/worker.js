// Keep the inspector's page on the phone, whole and of one version, and give it with or without a network. What the page shows - tasks,
// answers, files - it keeps itself in IndexedDB; requests to the API go to the network and nowhere else.
// The hub puts `self.SHELL` before this: the version and the files that the page is made of.

const worker = /** @type {any} */ (self);
/** @type {{version: string, files: string[], page: string}} */
const shell = worker.SHELL;
const PREFIX = "portwitness-work-";
const CACHE = PREFIX + shell.version;

worker.addEventListener("install", (/** @type {any} */ event) => event.waitUntil(keep()));
worker.addEventListener("activate", (/** @type {any} */ event) => event.waitUntil(begin()));
worker.addEventListener("fetch", (/** @type {any} */ event) => {
  const { request } = event;
  const address = new URL(request.url);
  if (request.method !== "GET" || address.origin !== location.origin) return;
  if (request.mode === "navigate") event.respondWith(kept(shell.page, request));
  else if (shell.files.includes(address.pathname)) event.respondWith(kept(address.pathname, request));
});

async function keep() {
  const cache = await caches.open(CACHE);
  await cache.addAll([shell.page, ...shell.files].map((path) => new Request(path, { cache: "no-cache" })));
  await worker.skipWaiting(); // a page that it serves reads all its modules at once; the next one is of the new version
}

async function begin() {
  for (const name of await caches.keys()) if (name.startsWith(PREFIX) && name !== CACHE) await caches.delete(name);
  await worker.clients.claim();
}

/** @param {string} path @param {Request} request */
async function kept(path, request) {
  const found = await (await caches.open(CACHE)).match(path);
  return found ?? fetch(request);
}
