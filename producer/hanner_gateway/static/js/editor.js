/**
 * The text that is typed, and what was found in it. The textarea is the browser's own, so input methods, undo, screen
 * readers and phones work as everywhere; what is seen is drawn behind it.
 */
import { Overlay } from "./overlay.js";
import { difference, entityAt, fits, shifted } from "./spans.js";
import { labelOf, slotOf } from "./types.js";

const UNDOABLE_LINES = 50; // browsers insert line by line, which takes seconds for hundreds of lines

export class Editor extends EventTarget {
  /**
   * Fires `change` when the text changed (detail: `held`, true while an input method composes), `entities` when what is
   * highlighted changed, `caret` when the caret moved without the text.
   */
  constructor(textarea, root, scroller) {
    super();
    this.textarea = textarea;
    this.scroller = scroller;
    this.overlay = new Overlay(root, scroller);
    this.text = "";
    this.entities = [];
    this.hidden = new Set();
    this.composing = null;
    this.active = null;
    this.edited = false; // whether there is something to undo
    textarea.addEventListener("input", (event) => this.typed(event));
    textarea.addEventListener("compositionstart", () => this.compose(""));
    textarea.addEventListener("compositionupdate", (event) => this.compose(event.data ?? ""));
    textarea.addEventListener("compositionend", () => this.composed());
    document.addEventListener("selectionchange", () => {
      if (document.activeElement === textarea) this.dispatchEvent(new Event("caret"));
    });
    // A textarea fires its own selectionchange where the document's does not reach it.
    textarea.addEventListener("selectionchange", () => this.dispatchEvent(new Event("caret")));
    if (textarea.value) this.sync(); // what the browser kept over a reload
  }

  /** Replace the whole text, as by an example. */
  setText(text) {
    this.entities = [];
    if (this.edited && text.split("\n").length <= UNDOABLE_LINES) this.replace(text);
    else this.textarea.value = text;
    this.sync();
    this.scroller.scrollTop = 0;
  }

  /** As if typed, so that what was there comes back by undo. */
  replace(text) {
    const before = document.activeElement;
    this.textarea.focus({ preventScroll: true });
    this.textarea.select();
    const done = text ? document.execCommand("insertText", false, text) : document.execCommand("delete");
    if (!done) this.textarea.value = text;
    if (before !== this.textarea) before?.focus?.({ preventScroll: true });
  }

  /** Show what the model found; an answer that does not fit the text is refused. Returns whether it was taken. */
  setEntities(entities, text) {
    if (text !== this.text || !fits(text, entities)) return false;
    this.entities = entities;
    this.draw();
    this.dispatchEvent(new Event("entities"));
    return true;
  }

  /** Show these types no more; all others are shown. */
  setHidden(types) {
    this.hidden = types;
    this.draw();
    this.dispatchEvent(new Event("entities"));
  }

  get shown() {
    return this.entities.filter((entity) => !this.hidden.has(entity.type));
  }

  /** The shown entity at a place of the text, or undefined. */
  entityAt(position) {
    const found = entityAt(this.entities, position);
    return found && !this.hidden.has(found.type) ? found : undefined;
  }

  entityUnder(x, y) {
    const start = this.overlay.startUnder(x, y);
    return start === null ? undefined : this.entityAt(start);
  }

  /** The entity at the caret, when nothing is selected. A caret behind the last character counts as in it. */
  entityAtCaret() {
    const { selectionStart: start, selectionEnd: end } = this.textarea;
    if (start !== end || document.activeElement !== this.textarea) return undefined;
    return this.entityAt(start) ?? (start > 0 ? this.entityAt(start - 1) : undefined);
  }

  boxesOf = (entity) => this.overlay.boxes(entity.start, entity.end);

  /** Mark one entity as the one that is meant, or none. */
  setActive(entity) {
    if (this.active?.start === entity?.start && this.active?.type === entity?.type) return;
    this.active = entity ?? null;
    this.draw();
  }

  /** Bring an entity into the middle of the visible part. */
  reveal(entity) {
    const box = this.boxesOf(entity)[0];
    const view = this.scroller.getBoundingClientRect();
    if (!box || (box.top >= view.top + 24 && box.bottom <= view.bottom - 24)) return;
    this.scroller.scrollTop += box.top - view.top - view.height / 2;
  }

  /** Draw again, as after a change of language. */
  draw() {
    const marks = this.shown.map((entity) => ({
      start: entity.start,
      end: entity.end,
      class: [
        `entity slot-${slotOf(entity.type)}`,
        entity.text.length < 2 ? "narrow" : "",
        entity.start === this.active?.start ? "active" : "",
      ]
        .filter(Boolean)
        .join(" "),
      label: labelOf(entity.type),
    }));
    this.overlay.setMarks(this.composing ? underlined(marks, this.composing) : marks);
  }

  typed(event) {
    this.edited = true;
    if (!event.isComposing) this.composing = null;
    this.sync(event.isComposing);
  }

  compose(data) {
    const start = this.composing?.start ?? this.textarea.selectionStart;
    this.composing = { start, end: start + data.length };
  }

  composed() {
    this.composing = null;
    this.sync(false, true);
  }

  sync(held = false, always = false) {
    const text = this.textarea.value;
    const edit = difference(this.text, text, this.textarea.selectionEnd);
    const changed = edit.removed > 0 || edit.inserted.length > 0;
    if (!changed && !always) return;
    this.text = text;
    this.active = null;
    if (changed) {
      this.entities = shifted(this.entities, edit);
      this.overlay.edit(edit.start, edit.removed, edit.inserted);
    }
    this.draw();
    if (changed) this.dispatchEvent(new Event("entities"));
    this.dispatchEvent(new CustomEvent("change", { detail: { held } }));
  }
}

/** The marks with the part that is being composed underlined, as the transparent textarea cannot show it. */
function underlined(marks, { start, end }) {
  if (end <= start) return marks;
  const around = marks.filter((mark) => mark.end <= start || mark.start >= end);
  around.push({ start, end, class: "composing", label: "" });
  return around.sort((a, b) => a.start - b.start);
}
