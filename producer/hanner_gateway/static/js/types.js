/**
 * How a type of entity looks: a slot of the style sheet (colour and underline), a shape, and names. Colour is never the
 * only sign. Models of other kinds may know any types: those get a slot of their own as they come.
 */
import { language } from "./i18n.js";

/** One per slot; slots 0 to 2 are people, places and organisations. */
const SHAPES = ["●", "◆", "■", "▲", "✚", "★", "⬟", "▼"];
const FIRST_FREE = 3;

const FAMILIES = { PER: 0, PERSON: 0, LOC: 1, LOCATION: 1, ORG: 2, ORGANIZATION: 2, ORGANISATION: 2 };

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
};

const slots = new Map();

/** The slot of the style sheet for a type, 0 to 7; the same for the whole visit. */
export function slotOf(type) {
  const upper = type.toUpperCase();
  if (upper in FAMILIES) return FAMILIES[upper];
  if (!slots.has(upper)) slots.set(upper, FIRST_FREE + (slots.size % (SHAPES.length - FIRST_FREE)));
  return slots.get(upper);
}

/** The shape that stands for a type's slot. */
export const shapeOf = (type) => SHAPES[slotOf(type)];

/** The type's name in the language of the page; the model's own code where there is none. */
export const nameOf = (type) => NAMES[language()][type.toUpperCase()] ?? type;

/** The few characters that stand over an entity. */
export function labelOf(type) {
  const name = language() === "zh" ? nameOf(type) : type;
  return `${shapeOf(type)} ${name.length > 8 ? `${name.slice(0, 7)}…` : name}`;
}
