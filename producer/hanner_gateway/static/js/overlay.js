/**
 * The text as it is seen: it lies behind a transparent textarea, glyph for glyph, and carries the highlights.
 *
 * The text is held in chunks of about a thousand characters. An edit touches only the chunks it is in, and only chunks
 * near the visible part carry highlights, so that a text of 100,000 characters costs little more than a short one.
 */
import { element } from "./dom.js";
import { firstEndingAfter, pieces } from "./spans.js";

const CHUNK = 1000;
const NEAR = "600px"; // how far around the visible part highlights are made

/**
 * @typedef {{start: number, end: number, class: string, label: string}} Mark what is drawn over a part of the text
 * @typedef {{text: string, node: HTMLElement, near: boolean, drawn: string}} Chunk
 */

export class Overlay {
  /**
   * @param {HTMLElement} root
   * @param {HTMLElement} scroller what scrolls the root
   * @param {number} [most] units in a chunk
   */
  constructor(root, scroller, most = CHUNK) {
    this.root = root;
    this.most = most;
    this.scroller = scroller;
    /** @type {Mark[]} */
    this.marks = [];
    this.chunkOf = new WeakMap();
    this.spans = new WeakMap(); // a highlight's element -> where in its chunk it starts
    this.watch = new IntersectionObserver((seen) => this.seen(seen), { root: scroller, rootMargin: NEAR });
    const first = this.makeChunk("");
    this.chunks = [first];
    this.root.replaceChildren(this.block([first]));
    this.tail();
  }

  /** Replace `removed` units at `start` by `inserted`; setMarks must follow, which draws. */
  edit(start, removed, inserted) {
    const from = this.indexAt(start);
    const to = this.indexAt(start + removed);
    const began = this.startOf(from);
    const old = this.chunks.slice(from, to + 1);
    const before = old.map((chunk) => chunk.text).join("");
    const after = before.slice(0, start - began) + inserted + before.slice(start - began + removed);
    const fresh = old.length === 1 && after.length <= this.most ? [after] : pieces(after, this.most);
    if (old.length === 1 && fresh.length === 1 && endsBlock(before) === endsBlock(after)) {
      old[0].text = after;
      old[0].drawn = null;
    } else this.splice(from, old.length, fresh);
    this.tail();
  }

  /** Draw these marks, sorted and not overlapping, instead of those before. */
  setMarks(marks) {
    this.marks = marks;
    this.draw();
  }

  /** Where in the text the highlight under a point of the window starts, or null. */
  startUnder(x, y) {
    const hit = document.elementsFromPoint(x, y).find((node) => this.spans.has(node));
    return hit ? this.startOfSpan(hit) : null;
  }

  /** Boxes, in the window, of the text from `start` to `end`; one for each line. */
  boxes(start, end) {
    const range = document.createRange();
    const from = this.point(start);
    const to = this.point(end);
    range.setStart(from.node, from.offset);
    range.setEnd(to.node, to.offset);
    return [...range.getClientRects()].filter((box) => box.width > 0);
  }

  // chunks

  makeChunk(text) {
    const chunk = { text, node: element("span", { class: "chunk" }), near: false, drawn: null };
    this.chunkOf.set(chunk.node, chunk);
    this.watch.observe(chunk.node);
    return chunk;
  }

  startOf(index) {
    let start = 0;
    for (let i = 0; i < index; i++) start += this.chunks[i].text.length;
    return start;
  }

  /** Index of the chunk that holds a position; at the border of two, the later, for what is typed there follows it. */
  indexAt(position) {
    let end = 0;
    for (let i = 0; i < this.chunks.length; i++) {
      end += this.chunks[i].text.length;
      if (position < end) return i;
    }
    return this.chunks.length - 1;
  }

  splice(from, count, texts) {
    const fresh = texts.map((text) => this.makeChunk(text));
    const gone = this.chunks.slice(from, from + count);
    // Whole blocks are made anew, as a line break may have come or gone: from the start of the first to the end of the last.
    let first = from;
    while (first > 0 && !endsBlock(this.chunks[first - 1].text)) first--;
    let last = from + count;
    while (last < this.chunks.length && !endsBlock(this.chunks[last - 1].text)) last++;
    const blocks = new Set(this.chunks.slice(first, last).map((chunk) => chunk.node.parentNode));
    const before = this.chunks[last]?.node.parentNode ?? this.root.lastElementChild;
    const kept = [this.chunks.slice(first, from), this.chunks.slice(from + count, last)];
    const made = this.blocks([...kept[0], ...fresh, ...kept[1]]);
    for (const chunk of gone) this.watch.unobserve(chunk.node);
    for (const block of blocks) block.remove();
    before.before(...made);
    this.chunks.splice(from, count, ...fresh);
    for (const chunk of fresh) chunk.near = this.isNear(chunk.node); // do not wait a frame for the observer
  }

  blocks(chunks) {
    const made = [];
    let held = [];
    for (const chunk of chunks) {
      if (chunk.drawn === null && !chunk.node.firstChild) chunk.node.textContent = chunk.text;
      held.push(chunk);
      if (endsBlock(chunk.text)) {
        made.push(this.block(held));
        held = [];
      }
    }
    if (held.length) made.push(this.block(held));
    return made;
  }

  block(chunks) {
    return element("div", { class: "block" }, ...chunks.map((chunk) => chunk.node));
  }

  /** A text that ends with a line break has one more, empty line. */
  tail() {
    const last = this.chunks[this.chunks.length - 1].text;
    if (this.root.lastElementChild?.className !== "tail") this.root.append(element("div", { class: "tail" }));
    this.root.lastElementChild.hidden = !endsBlock(last);
  }

  // highlights

  isNear(node) {
    const box = node.getBoundingClientRect();
    const view = this.scroller.getBoundingClientRect();
    const margin = parseInt(NEAR, 10);
    return box.bottom > view.top - margin && box.top < view.bottom + margin;
  }

  seen(entries) {
    for (const { target, isIntersecting } of entries) {
      const chunk = this.chunkOf.get(target);
      if (chunk) chunk.near = isIntersecting;
    }
    this.draw();
  }

  draw() {
    let start = 0;
    for (const chunk of this.chunks) {
      this.drawChunk(chunk, start);
      start += chunk.text.length;
    }
  }

  drawChunk(chunk, start) {
    const end = start + chunk.text.length;
    const marks = [];
    if (chunk.near) {
      for (let i = firstEndingAfter(this.marks, start); i < this.marks.length && this.marks[i].start < end; i++) {
        const mark = this.marks[i];
        marks.push({ ...mark, start: Math.max(mark.start, start) - start, end: Math.min(mark.end, end) - start });
      }
    }
    const signature = marks.map((mark) => `${mark.start},${mark.end},${mark.class},${mark.label}`).join(";");
    if (chunk.drawn === signature) return;
    chunk.drawn = signature;
    const parts = [];
    let at = 0;
    for (const mark of marks) {
      if (mark.start > at) parts.push(chunk.text.slice(at, mark.start));
      const span = element("span", { class: mark.class }, chunk.text.slice(mark.start, mark.end));
      if (mark.label) span.dataset.label = mark.label;
      this.spans.set(span, mark.start);
      parts.push(span);
      at = mark.end;
    }
    if (at < chunk.text.length) parts.push(chunk.text.slice(at));
    chunk.node.replaceChildren(...parts);
  }

  startOfSpan(span) {
    const chunk = this.chunkOf.get(span.parentNode);
    return this.startOf(this.chunks.indexOf(chunk)) + this.spans.get(span);
  }

  /** The text node, and the place in it, of a position. */
  point(position) {
    const index = this.indexAt(position);
    let left = position - this.startOf(index);
    const nodes = document.createTreeWalker(this.chunks[index].node, NodeFilter.SHOW_TEXT);
    let last = this.chunks[index].node;
    while (nodes.nextNode()) {
      last = nodes.currentNode;
      if (left <= last.length) return { node: last, offset: left };
      left -= last.length;
    }
    return { node: last, offset: last.length ?? 0 };
  }
}

const endsBlock = (text) => text.endsWith("\n");
