// The views beside the first: fetched as soon as that one stands, so that a first visit waits for less and a phone that loses its network a
// moment later has all of them.
export { MissingList } from "./missing-list.js";
export { PersonPage } from "./person-page.js";
export { QuestionPage } from "./question-page.js";
export { SignaturePage } from "./signature-page.js";
export { TaskMore } from "./task-more.js";
export { UnsafeList } from "./unsafe-list.js";
