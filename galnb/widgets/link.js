// Frames from the kernel: one request under way, the newest wins, and a burst of wheel events costs a few.

async function inflate(buffer) {
  const stream = new Blob([buffer]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const REST = 180; // ms without movement after which the map is at rest

class FrameLink {
  // ask(): the view message to send; show(frame, layers): a picture is there; silent(): no answer for 5 s
  constructor(model, ask, show, silent) {
    Object.assign(this, { model, ask, show, silent });
    this.client = Math.random().toString(36).slice(2);
    this.seq = Date.now() % 1e9;
    this.underWay = this.sent = 0;
    this.wanted = false;
    this.sentAt = -1e9;
    this.movedAt = -1e9;
  }

  // The view moved: at once if all was still, then once it rests; until then after `pace` ms and every three.
  request(pace = 0) {
    const still = performance.now() - this.movedAt > 300;
    if (still) this.sent = 0;
    this.movedAt = performance.now();
    this.wanted = true;
    this.pace = pace;
    if (!pace || still) this.send();
    else this.later();
  }

  later() {
    clearTimeout(this.timer);
    const due = Math.min(this.movedAt + REST, this.sentAt + this.pace * (this.sent > 1 ? 3 : 1));
    this.timer = setTimeout(() => this.send(), Math.max(0, due - performance.now()));
  }

  send() {
    if (this.underWay || !this.wanted) return;
    const message = this.ask();
    if (!message) return;
    clearTimeout(this.timer);
    this.wanted = false;
    this.sent += 1;
    this.underWay = ++this.seq;
    this.sentAt = performance.now();
    this.model.send({ t: "view", seq: this.seq, client: this.client, ...message });
    this.watch = setTimeout(() => {
      this.underWay = 0;
      this.wanted = true;
      this.silent();
    }, 5000);
  }

  async receive(frame, buffers) {
    if (frame.client !== this.client || frame.seq !== this.underWay) return;
    clearTimeout(this.watch);
    const layers = await Promise.all(buffers.map(inflate));
    frame.roundTrip = performance.now() - this.sentAt;
    this.show(frame, layers);
    this.underWay = 0;
    if (this.wanted) this.later();
  }

  // Nothing will come for the request under way: an error came instead.
  fail() {
    clearTimeout(this.watch);
    this.underWay = 0;
  }

  stop() {
    this.wanted = false;
    clearTimeout(this.watch);
    clearTimeout(this.timer);
  }
}
