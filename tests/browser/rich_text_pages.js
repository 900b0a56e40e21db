// The page at the top: shows groups of values in frames and gathers what is seen in each.
let shown = [];
addEventListener("message", ({ data, source }) => {
  let inner = source;
  while (inner && inner.parent !== window) inner = inner.parent;
  shown.find((frame) => frame.contentWindow === inner)?.signals.add(data.signal);
});

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const START = "<!doctype html><title>t</title>";
// Taken from the prototypes, because markup can shadow properties of an element by name.
const of = (kind, name) => Object.getOwnPropertyDescriptor(kind.prototype, name).get;
const [attributesOf, nameOf, spaceOf] = ["attributes", "localName", "namespaceURI"].map((name) => of(Element, name));
const all = (document, where) => [...Document.prototype.querySelectorAll.call(document, where)];

// Puts the values of a group into its frame, each into an element of its own.
function place(frame, { context, values }) {
  const document = frame.contentDocument;
  if (context === "written") {
    document.open();
    frame.contentWindow.listen();
    document.write(whole(values));
    document.close();
  }
  if ((document.compatMode === "BackCompat") !== (context === "quirks")) frame.signals.add("wrong mode");
  if (["page", "written"].includes(context)) return;
  const main = document.createElement("main");
  document.body.append(main);
  for (const value of values) {
    const [first, second, third] = [1, 2, 3].map(() => {
      const element = document.createElement(context === "cell" ? "td" : "div");
      main.append(element);
      return element;
    });
    first.innerHTML = value;
    second.innerHTML = first.innerHTML;
    third.innerHTML = second.innerHTML;
    if (!isSame(value, first) || settle(first.innerHTML) !== settle(third.innerHTML))
      frame.signals.add("changed when read back");
  }
}

// Parsers skip a line break at the start of <pre>, and browsers write none in its place.
const settle = (markup) => markup.replace(/<pre>\n+/g, "<pre>");

// Sanitized markup reads back to the letter, and text without markup as itself.
const isSame = (value, element) =>
  settle(value) === settle(element.innerHTML) ||
  (!element.firstElementChild && value.replace(/\r\n?/g, "\n") === element.textContent);

const whole = (values) =>
  `${START}<main>${values.map((value) => `<div>${value}</div>`).join("")}</main>`;

// Looks for whatever the policy does not name in the elements that are there now.
function inspect(frame, { context, values }, rules) {
  const document = frame.contentDocument;
  const address = { quirks: "about:blank", written: location.href }[context] ?? "about:srcdoc";
  if (document?.URL !== address) {
    frame.signals.add("left the page");
    return;
  }
  const own = all(document, "main > *");
  const expected = ["page", "written"].includes(context) ? values.length : 3 * values.length;
  if (own.length !== expected || all(document, "body > *").length !== 1 || all(document, "main").length !== 1)
    frame.signals.add("left its element");
  // What stands in the text of a page can still give attributes to what is around it.
  const around = all(document, "html, head, body, main");
  if (around.some((element) => attributesOf.call(element).length)) frame.signals.add("left its element");
  for (const element of all(document, "main > * *")) {
    const name = nameOf.call(element);
    if (!rules.elements.includes(name) || spaceOf.call(element) !== "http://www.w3.org/1999/xhtml")
      frame.signals.add(`element ${name}`);
    for (const attribute of attributesOf.call(element)) {
      if (!rules.attributes.includes(`${name} ${attribute.name}`))
        frame.signals.add(`attribute ${name} ${attribute.name}`);
      else if (["cite", "href", "src"].includes(attribute.name)) judge(frame, attribute.value, rules);
    }
  }
}

// Reads a link as the browser does: by an allowed scheme, and to this site unless it says so.
function judge(frame, link, { schemes }) {
  let url;
  try {
    url = new URL(link, location.href);
  } catch {
    return; // It leads nowhere.
  }
  const isNamed = link.trim().toLowerCase().startsWith(url.protocol);
  if (!schemes.includes(url.protocol.slice(0, -1)) || (!isNamed && url.host !== location.host))
    frame.signals.add(`link by ${url.protocol}`);
}

const EVENTS = {
  KeyboardEvent: ["keydown", "keypress", "keyup"],
  MouseEvent: ["auxclick", "contextmenu", "dblclick", "mousedown", "mouseenter", "mouseover"],
  PointerEvent: ["pointerdown", "pointerenter", "pointerover", "click"],
};

// Does what a reader may do: points at, focuses, opens and clicks everything.
function interact(frame) {
  const document = frame.contentDocument;
  if (!document) return;
  const view = frame.contentWindow;
  // Nobody leaves the page, but a link of script is followed.
  view.addEventListener("click", (event) => {
    const link = event.composedPath().find((each) => /^(a|area)$/.test(each.localName ?? ""));
    if (link && link.protocol !== "javascript:" && !link.href?.baseVal) event.preventDefault();
  });
  view.addEventListener("submit", (event) => {
    const target = event.submitter?.hasAttribute("formaction") ? event.submitter.formAction : event.target.action;
    if (!target.startsWith("javascript:")) event.preventDefault();
  });
  for (const element of all(document, "body, body *")) {
    for (const { name } of attributesOf.call(element))
      if (name.startsWith("on")) element.dispatchEvent(new view.Event(name.slice(2)));
    if (nameOf.call(element) === "details") element.open = true;
    element.removeAttribute("target");
    element.focus?.();
    for (const [kind, names] of Object.entries(EVENTS))
      for (const name of names)
        element.dispatchEvent(new view[kind](name, { bubbles: true, cancelable: true, view }));
  }
}

// Shows each group in a frame of its own and returns what was seen, a list for each group.
async function show(groups, rules, wait) {
  const loads = [];
  shown = groups.map((group) => {
    const frame = document.createElement("iframe");
    // Markup may not take the page away from under the others.
    frame.sandbox = "allow-forms allow-modals allow-same-origin allow-scripts";
    frame.signals = new Set();
    // Only a frame without a document of its own reads markup as the browsers of old did.
    if (group.context !== "quirks") frame.srcdoc = group.context === "page" ? whole(group.values) : START;
    loads.push(new Promise((done) => frame.addEventListener("load", done, { once: true })));
    document.body.append(frame);
    return frame;
  });
  await Promise.race([Promise.all(loads), pause(3000)]);
  const attempt = (act) =>
    shown.forEach((frame, at) => {
      try {
        act(frame, groups[at]);
      } catch (error) {
        frame.signals.add(`failed ${error.name}`);
      }
    });
  attempt(place);
  await pause(wait);
  attempt((frame, group) => inspect(frame, group, rules));
  attempt(interact);
  await pause(wait);
  const seen = shown.map((frame) => [...frame.signals]);
  shown.forEach((frame) => frame.remove());
  shown = [];
  return seen;
}
