/**
 * The text and its highlighted entities. Input goes to a native textarea, so that input methods, undo, screen readers and
 * phones work as usual; the visible text is drawn behind it.
 */
import { Overlay } from "./overlay.js";
import { difference, entityAt, fits, isAdjacent, shifted } from "./spans.js";
import { labelOf, slotOf } from "./entity_types.js";

const UNDOABLE_LINES = 50; // browsers insert line by line, which is slow for hundreds of lines

export class Editor extends EventTarget {
  /**
   * Fires `change` when the text changes (detail: `composing`, true while an input method composes), `entities` when the
   * highlights change, `caret` when the caret moves without a change of the text.
   */
  constructor(textarea, root, scroller) {
    super();
    this.textarea = textarea;
    this.scroller = scroller;
    this.overlay = new Overlay(root, scroller);
    this.text = "";
    this.entities = [];
    this.answered = true; // whether the entities are the result for this text; if not, they are those left of an earlier one
    this.hidden = new Set();
    this.minScore = 0;
    this.composing = null;
    this.active = null;
    this.edited = false; // whether undo is possible
    textarea.addEventListener("input", (event) => this.onInput(event));
    textarea.addEventListener("compositionstart", () => this.compose(""));
    textarea.addEventListener("compositionupdate", (event) => this.compose(event.data ?? ""));
    textarea.addEventListener("compositionend", () => this.endComposition());
    document.addEventListener("selectionchange", () => {
      if (document.activeElement === textarea) this.dispatchEvent(new Event("caret"));
    });
    // Some browsers fire selectionchange on the textarea instead of the document.
    textarea.addEventListener("selectionchange", () => this.dispatchEvent(new Event("caret")));
    if (textarea.value) this.sync(); // the browser may restore the text after a reload
  }

  /** Replace the whole text. */
  setText(text) {
    if (text !== this.text) this.entities = [];
    if (this.edited && text.split("\n").length <= UNDOABLE_LINES) this.replace(text);
    else this.textarea.value = text;
    this.sync();
    this.scroller.scrollTop = 0;
  }

  /** Replace the text as user input, so that it can be undone. */
  replace(text) {
    const before = document.activeElement;
    this.textarea.focus({ preventScroll: true });
    this.textarea.select();
    const done = text ? document.execCommand("insertText", false, text) : document.execCommand("delete");
    if (!done) this.textarea.value = text;
    if (before !== this.textarea) before?.focus?.({ preventScroll: true });
  }

  /** Show the entities of a text; return false if they do not match the current text. */
  setEntities(entities, text) {
    if (text !== this.text || !fits(text, entities)) return false;
    this.show(entities, true);
    return true;
  }

  /** Remove the entities, because there is no result for this text. */
  removeEntities() {
    if (this.entities.length || this.answered) this.show([], false);
  }

  show(entities, answered) {
    this.entities = entities;
    this.answered = answered;
    this.draw();
    this.dispatchEvent(new Event("entities"));
  }

  /** Hide these types; show all others. */
  setHidden(types) {
    this.hidden = types;
    this.draw();
    this.dispatchEvent(new Event("entities"));
  }

  /** Hide entities with a score below this. */
  setMinScore(score) {
    this.minScore = score;
    this.draw();
    this.dispatchEvent(new Event("entities"));
  }

  isShown = (entity) => !this.hidden.has(entity.type) && entity.score >= this.minScore;

  get visible() {
    return this.entities.filter(this.isShown);
  }

  /** Return the visible entity at a position of the text, or undefined. */
  entityAt(position) {
    const found = entityAt(this.entities, position);
    return found && this.isShown(found) ? found : undefined;
  }

  entityUnder(x, y) {
    const start = this.overlay.startUnder(x, y);
    return start === null ? undefined : this.entityAt(start);
  }

  /** Return the entity at the caret if nothing is selected; a caret after its last character counts as inside. */
  entityAtCaret() {
    const { selectionStart: start, selectionEnd: end } = this.textarea;
    if (start !== end || document.activeElement !== this.textarea) return undefined;
    return this.entityAt(start) ?? (start > 0 ? this.entityAt(start - 1) : undefined);
  }

  boxesOf = (entity) => this.overlay.boxes(entity.start, entity.end);

  /** Mark one entity as active, or none. */
  setActive(entity) {
    if (this.active?.start === entity?.start && this.active?.type === entity?.type) return;
    this.active = entity ?? null;
    this.draw();
  }

  /** Scroll an entity into view. */
  reveal(entity) {
    const box = this.boxesOf(entity)[0];
    const view = this.scroller.getBoundingClientRect();
    if (!box || (box.top >= view.top + 24 && box.bottom <= view.bottom - 24)) return;
    this.scroller.scrollTop += box.top - view.top - view.height / 2;
  }

  /** Draw the highlights. */
  draw() {
    const marks = this.visible.map((entity, index, all) => ({
      start: entity.start,
      end: entity.end,
      class: [
        `entity slot-${slotOf(entity.type)}`,
        entity.text.length < 2 ? "narrow" : "",
        isAdjacent(all[index - 1], entity) ? "adjacent" : "",
        entity.start === this.active?.start ? "active" : "",
      ]
        .filter(Boolean)
        .join(" "),
      label: labelOf(entity.type),
    }));
    this.overlay.setMarks(this.composing ? underlined(marks, this.composing) : marks);
  }

  onInput(event) {
    this.edited = true;
    if (!event.isComposing) this.composing = null;
    this.sync(event.isComposing);
  }

  compose(data) {
    const start = this.composing?.start ?? this.textarea.selectionStart;
    this.composing = { start, end: start + data.length };
  }

  endComposition() {
    this.composing = null;
    this.sync(false, true);
  }

  sync(composing = false, always = false) {
    const text = this.textarea.value;
    const edit = difference(this.text, text, this.textarea.selectionEnd);
    const changed = edit.removed > 0 || edit.inserted.length > 0;
    if (!changed && !always) return;
    this.text = text;
    this.active = null;
    if (changed) {
      this.entities = shifted(this.entities, edit);
      this.answered = false;
      this.overlay.edit(edit.start, edit.removed, edit.inserted);
    }
    this.draw();
    if (changed) this.dispatchEvent(new Event("entities"));
    this.dispatchEvent(new CustomEvent("change", { detail: { composing } }));
  }
}

/** Return the marks with the composed part underlined, because the transparent textarea cannot show it. */
function underlined(marks, { start, end }) {
  if (end <= start) return marks;
  const result = marks.filter((mark) => mark.end <= start || mark.start >= end);
  result.push({ start, end, class: "composing", label: "" });
  return result.sort((a, b) => a.start - b.start);
}
