/**
 * The visible text with highlights, behind a transparent textarea, glyph for glyph.
 *
 * The text is stored in chunks of about a thousand characters. An edit changes only its chunks, and only chunks near the
 * visible part have highlights, so that a text of 100,000 characters costs little more than a short one.
 */
import { element } from "./dom.js";
import { firstEndingAfter, pieces } from "./spans.js";

const CHUNK = 1000;
const NEAR = "600px"; // distance from the visible part within which chunks have highlights

/**
 * @typedef {{start: number, end: number, class: string, label: string}} Mark a highlighted part of the text
 * @typedef {{text: string, node: HTMLElement, near: boolean, drawn: string}} Chunk
 */

export class Overlay {
  /**
   * @param {HTMLElement} root
   * @param {HTMLElement} scroller the element that scrolls the root
   * @param {number} [maxLength] maximum UTF-16 units of a chunk
   */
  constructor(root, scroller, maxLength = CHUNK) {
    this.root = root;
    this.maxLength = maxLength;
    this.scroller = scroller;
    /** @type {Mark[]} */
    this.marks = [];
    this.chunkOf = new WeakMap();
    this.spans = new WeakMap(); // a highlight's element -> its start in its chunk
    this.observer = new IntersectionObserver((entries) => this.onIntersection(entries), { root: scroller, rootMargin: NEAR });
    const first = this.makeChunk("");
    this.chunks = [first];
    this.root.replaceChildren(this.block([first]));
    this.updateTail();
  }

  /** Replace `removed` units at `start` with `inserted`; call setMarks afterwards, which draws. */
  edit(start, removed, inserted) {
    const from = this.indexAt(start);
    const to = this.indexAt(start + removed);
    const began = this.startOf(from);
    const old = this.chunks.slice(from, to + 1);
    const before = old.map((chunk) => chunk.text).join("");
    const after = before.slice(0, start - began) + inserted + before.slice(start - began + removed);
    const fresh = old.length === 1 && after.length <= this.maxLength ? [after] : pieces(after, this.maxLength);
    if (old.length === 1 && fresh.length === 1 && endsBlock(before) === endsBlock(after)) {
      old[0].text = after;
      old[0].drawn = null;
    } else this.splice(from, old.length, fresh);
    this.updateTail();
  }

  /** Draw these marks, sorted and not overlapping, in place of the previous ones. */
  setMarks(marks) {
    this.marks = marks;
    this.draw();
  }

  /** Return the start of the highlight under a point of the window, or null. */
  startUnder(x, y) {
    const hit = document.elementsFromPoint(x, y).find((node) => this.spans.has(node));
    return hit ? this.startOfSpan(hit) : null;
  }

  /** Return the boxes, in the window, of the text from `start` to `end`; one per line. */
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
    this.observer.observe(chunk.node);
    return chunk;
  }

  startOf(index) {
    let start = 0;
    for (let i = 0; i < index; i++) start += this.chunks[i].text.length;
    return start;
  }

  /** Return the index of the chunk with a position; at a border, that of the later chunk. */
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
    // Whole blocks are rebuilt, because a line break may have been added or removed.
    let first = from;
    while (first > 0 && !endsBlock(this.chunks[first - 1].text)) first--;
    let last = from + count;
    while (last < this.chunks.length && !endsBlock(this.chunks[last - 1].text)) last++;
    const blocks = new Set(this.chunks.slice(first, last).map((chunk) => chunk.node.parentNode));
    const before = this.chunks[last]?.node.parentNode ?? this.root.lastElementChild;
    const kept = [this.chunks.slice(first, from), this.chunks.slice(from + count, last)];
    const made = this.blocks([...kept[0], ...fresh, ...kept[1]]);
    for (const chunk of gone) this.observer.unobserve(chunk.node);
    for (const block of blocks) block.remove();
    before.before(...made);
    this.chunks.splice(from, count, ...fresh);
    for (const chunk of fresh) chunk.near = this.isNear(chunk.node); // the observer would take a frame
  }

  blocks(chunks) {
    const made = [];
    let current = [];
    for (const chunk of chunks) {
      if (chunk.drawn === null && !chunk.node.firstChild) chunk.node.textContent = chunk.text;
      current.push(chunk);
      if (endsBlock(chunk.text)) {
        made.push(this.block(current));
        current = [];
      }
    }
    if (current.length) made.push(this.block(current));
    return made;
  }

  block(chunks) {
    return element("div", { class: "block" }, ...chunks.map((chunk) => chunk.node));
  }

  /** Show an empty last line if the text ends with a line break. */
  updateTail() {
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

  onIntersection(entries) {
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

  /** Return the text node of a position, and the offset in it. */
  point(position) {
    const index = this.indexAt(position);
    let offset = position - this.startOf(index);
    const nodes = document.createTreeWalker(this.chunks[index].node, NodeFilter.SHOW_TEXT);
    let last = this.chunks[index].node;
    while (nodes.nextNode()) {
      last = nodes.currentNode;
      if (offset <= last.length) return { node: last, offset };
      offset -= last.length;
    }
    return { node: last, offset: last.length ?? 0 };
  }
}

const endsBlock = (text) => text.endsWith("\n");
