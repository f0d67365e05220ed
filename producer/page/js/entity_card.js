/** The card with the details of one entity: shown under the pointer, at the caret, or beside an item of the list. */
import { element } from "./dom.js";
import { number, t } from "./i18n.js";
import { codePoints } from "./spans.js";
import { nameOf, shapeOf, slotOf } from "./entity_types.js";

const HIDE_DELAY_MS = 180; // time to move the pointer from the entity to the card
const GAP = 8;

export class EntityCard {
  /** @param {HTMLElement} card @param {import("./editor.js").Editor} editor */
  constructor(card, editor) {
    this.card = card;
    this.editor = editor;
    this.entity = null;
    card.addEventListener("pointerenter", () => clearTimeout(this.hideTimer));
    card.addEventListener("pointerleave", () => this.hideSoon());
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.entity) this.hide();
    });
    this.trackPointer();
    this.trackCaret();
    addEventListener("scroll", () => this.follow(), { passive: true, capture: true });
    addEventListener("resize", () => this.follow(), { passive: true }); // such as when a phone's keyboard opens
  }

  trackPointer() {
    const area = this.editor.scroller;
    area.addEventListener("pointermove", (event) => {
      if (event.pointerType === "touch" || event.buttons) return;
      const entity = this.editor.entityUnder(event.clientX, event.clientY);
      if (entity) {
        const boxes = this.editor.boxesOf(entity);
        const under = boxes.find((box) => event.clientY <= box.bottom + 4) ?? boxes[0];
        if (under) this.show(entity, () => under, { follows: false });
      } else if (this.entity) this.hideSoon();
    });
    area.addEventListener("pointerleave", () => this.hideSoon());
  }

  /** With keyboard and touch, show the entity at the caret, but not while the user types. */
  trackCaret() {
    let typed = false;
    this.editor.addEventListener("change", () => {
      typed = true;
      this.hide();
    });
    const { textarea } = this.editor;
    for (const event of ["pointerdown", "keydown"]) textarea.addEventListener(event, () => (typed = false));
    this.editor.addEventListener("caret", () => {
      if (typed) return;
      const entity = this.editor.entityAtCaret();
      if (entity) this.show(entity, () => this.editor.boxesOf(entity)[0]);
      else if (this.entity && document.activeElement === textarea) this.hide();
    });
    textarea.addEventListener("blur", () => this.hideSoon());
  }

  hideSoon() {
    clearTimeout(this.hideTimer);
    this.hideTimer = setTimeout(() => this.hide(), HIDE_DELAY_MS);
  }

  hide() {
    clearTimeout(this.hideTimer);
    this.entity = null;
    this.card.hidden = true;
    this.editor.setActive(null);
  }

  /**
   * Show the card for an entity.
   * @param {import("./spans.js").Entity} entity
   * @param {() => DOMRect | undefined} anchor returns the box, in the window, to place the card at
   * @param {{follows?: boolean}} [options] whether the card moves with its anchor on scroll; otherwise it is hidden
   */
  show(entity, anchor, { follows = true } = {}) {
    clearTimeout(this.hideTimer);
    const box = anchor();
    if (!box) return;
    this.anchor = follows ? anchor : null;
    if (this.entity !== entity) this.fill(entity);
    this.entity = entity;
    this.card.hidden = false;
    this.place(box);
    this.editor.setActive(entity);
  }

  follow() {
    if (!this.entity) return;
    const box = this.anchor?.();
    if (box && box.bottom > 0 && box.top < innerHeight) this.place(box);
    else this.hide();
  }

  fill(entity) {
    const same = this.editor.entities.filter((other) => other.text === entity.text && other.type === entity.type);
    const start = codePoints(this.editor.text.slice(0, entity.start));
    const end = start + codePoints(entity.text);
    const name = nameOf(entity.type);
    const meter = element("meter", { min: 0, max: 1, value: entity.score, "aria-label": t("score") });
    this.card.className = `card slot-${slotOf(entity.type)}`;
    const lines = [
      element("p", { class: "card-type" }, `${shapeOf(entity.type)} ${name}${name === entity.type ? "" : ` · ${entity.type}`}`),
      element("p", { class: "card-text", lang: "zh-CN" }, entity.text),
      element("p", { class: "card-score" }, meter, `${number(entity.score * 100, 1)} %`),
      element("p", { class: "card-place" }, t("place", { start, end })),
      same.length > 1
        ? element("p", { class: "card-place" }, t("occurrence", { number: same.indexOf(entity) + 1, count: same.length }))
        : null,
    ];
    this.card.replaceChildren(...lines.filter(Boolean));
  }

  /** Place the card under the box, or above it if there is no room; never outside the window. */
  place(box) {
    const { offsetWidth: width, offsetHeight: height } = this.card;
    const page = document.documentElement;
    const below = box.bottom + GAP + height <= innerHeight;
    const top = below ? box.bottom + GAP : Math.max(GAP, box.top - GAP - height);
    const left = Math.min(Math.max(GAP, box.left), Math.max(GAP, page.clientWidth - width - GAP));
    this.card.style.top = `${top}px`;
    this.card.style.left = `${left}px`;
  }
}
