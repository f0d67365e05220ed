/**
 * The appearance of an entity type: a slot of the style sheet (colour and underline), a shape, and a name. Colour is never the
 * only difference. Unknown types of other models get the next free slot.
 */
import { language } from "./i18n.js";

/** One shape per slot; slots 0 to 2 are people, places and organisations. */
const SHAPES = ["●", "◆", "■", "▲", "✚", "★", "⬟", "▼"];
const FIRST_FREE_SLOT = 3;

const FIXED_SLOTS = { PER: 0, PERSON: 0, LOC: 1, LOCATION: 1, ORG: 2, ORGANIZATION: 2, ORGANISATION: 2 };

const NAMES = {
  en: {
    PER: "Person",
    PERSON: "Person",
    LOC: "Place",
    LOCATION: "Place",
    ORG: "Organisation",
    ORGANIZATION: "Organisation",
    GPE: "Country or city",
    FAC: "Facility",
    NAME: "Name",
    TITLE: "Title",
    PROD: "Product",
    CORP: "Company",
    COMPANY: "Company",
    GRP: "Group",
    CW: "Work",
    EVENT: "Event",
    DATE: "Date",
    TIME: "Time",
    MONEY: "Money",
    ADDRESS: "Address",
  },
  zh: {
    PER: "人名",
    PERSON: "人名",
    LOC: "地名",
    LOCATION: "地名",
    ORG: "机构",
    ORGANIZATION: "机构",
    GPE: "行政区",
    FAC: "设施",
    NAME: "姓名",
    TITLE: "头衔",
    PROD: "产品",
    CORP: "公司",
    COMPANY: "公司",
    GRP: "团体",
    CW: "作品",
    EVENT: "事件",
    DATE: "日期",
    TIME: "时间",
    MONEY: "金额",
    ADDRESS: "地址",
  },
  "zh-Hant": {
    PER: "人名",
    PERSON: "人名",
    LOC: "地名",
    LOCATION: "地名",
    ORG: "機構",
    ORGANIZATION: "機構",
    GPE: "行政區",
    FAC: "設施",
    NAME: "姓名",
    TITLE: "頭銜",
    PROD: "產品",
    CORP: "公司",
    COMPANY: "公司",
    GRP: "團體",
    CW: "作品",
    EVENT: "事件",
    DATE: "日期",
    TIME: "時間",
    MONEY: "金額",
    ADDRESS: "地址",
  },
};

const slots = new Map();

/** Return the slot of a type, 0 to 7; it does not change while the page is open. */
export function slotOf(type) {
  const upper = type.toUpperCase();
  if (upper in FIXED_SLOTS) return FIXED_SLOTS[upper];
  if (!slots.has(upper)) slots.set(upper, FIRST_FREE_SLOT + (slots.size % (SHAPES.length - FIRST_FREE_SLOT)));
  return slots.get(upper);
}

/** Return the shape of a type. */
export const shapeOf = (type) => SHAPES[slotOf(type)];

/** Return the type's name in the current language; the type itself if it has none. */
export const nameOf = (type) => NAMES[language()][type.toUpperCase()] ?? type;

/** Return the short label above an entity. */
export function labelOf(type) {
  const name = language() === "en" ? type : nameOf(type);
  return `${shapeOf(type)} ${name.length > 8 ? `${name.slice(0, 7)}…` : name}`;
}
