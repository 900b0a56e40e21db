"use strict";

(() => {
  // ReDoc asks for its maker's logo from a foreign host. The policy would stop it, with an error in the
  // console each time; stopped here, an error in the console is always worth reading.
  const isOwn = (value) => {
    const address = URL.parse(value, document.baseURI);
    return address !== null && (address.protocol === "data:" || address.origin === location.origin);
  };
  const setAttribute = Element.prototype.setAttribute;
  const source = Object.getOwnPropertyDescriptor(HTMLImageElement.prototype, "src");
  HTMLImageElement.prototype.setAttribute = function (name, value) {
    if (name.toLowerCase() !== "src" || isOwn(value)) {
      setAttribute.call(this, name, value);
    }
  };
  Object.defineProperty(HTMLImageElement.prototype, "src", {
    ...source,
    set(value) {
      if (isOwn(value)) {
        source.set.call(this, value);
      }
    },
  });

  const element = document.getElementById("redoc");
  Redoc.init(
    element.dataset.openapiUrl,
    // `sanitize` cleans the HTML that a description may hold. The search would run in a worker made
    // from a blob; without it the policy needs no worker at all.
    { sanitize: true, disableSearch: true },
    element,
  );
})();
