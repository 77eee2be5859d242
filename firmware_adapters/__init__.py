"""Turn each kind of device into the abilities that the box understands.

Guarantees: units leave in arrival order, untouched as the device sent them, with every loss counted and the device's own
time beside ours; nothing is decoded. One module per dialect. Imports `protocol` only; `edge` may import all of it, `hub`
only `firmware_adapters.webrtc`.
"""
