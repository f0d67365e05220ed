/** The card that tells about one entity: shown under the pointer, at the caret, or beside an item of the list. */
import { element } from "./dom.js";
import { number, t } from "./i18n.js";
import { codePoints } from "./spans.js";
import { nameOf, shapeOf, slotOf } from "./types.js";

const LEAVE_MS = 180; // time to get from the entity onto the card
const GAP = 8;

export class Details {
  /** @param {HTMLElement} card @param {import("./editor.js").Editor} editor */
  constructor(card, editor) {
    this.card = card;
    this.editor = editor;
    this.entity = null;
    card.addEventListener("pointerenter", () => clearTimeout(this.leaving));
    card.addEventListener("pointerleave", () => this.leave());
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.entity) this.hide();
    });
    this.followPointer();
    this.followCaret();
    addEventListener("scroll", () => this.follow(), { passive: true, capture: true });
    addEventListener("resize", () => this.follow(), { passive: true }); // as when a phone's keyboard comes
  }

  followPointer() {
    const area = this.editor.scroller;
    area.addEventListener("pointermove", (event) => {
      if (event.pointerType === "touch" || event.buttons) return;
      const entity = this.editor.entityUnder(event.clientX, event.clientY);
      if (entity) {
        const boxes = this.editor.boxesOf(entity);
        const under = boxes.find((box) => event.clientY <= box.bottom + 4) ?? boxes[0];
        if (under) this.show(entity, () => under, { follows: false });
      } else if (this.entity) this.leave();
    });
    area.addEventListener("pointerleave", () => this.leave());
  }

  /** By keyboard and by touch the caret says which entity is meant; not while someone types, for that would distract. */
  followCaret() {
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
    textarea.addEventListener("blur", () => this.leave());
  }

  leave() {
    clearTimeout(this.leaving);
    this.leaving = setTimeout(() => this.hide(), LEAVE_MS);
  }

  hide() {
    clearTimeout(this.leaving);
    this.entity = null;
    this.card.hidden = true;
    this.editor.setActive(null);
  }

  /**
   * Show the card for an entity.
   * @param {import("./spans.js").Entity} entity
   * @param {() => DOMRect | undefined} anchor the box of the window that the card stands beside
   * @param {{follows?: boolean}} [options] whether the card goes with its anchor when something scrolls; else it goes away
   */
  show(entity, anchor, { follows = true } = {}) {
    clearTimeout(this.leaving);
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

  /** Under the box where there is room, else above; never outside the window. */
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
