// Runs first in every frame, before any markup is read, and tells the page at the top when script
// runs in it: what an attack calls to show itself, an error of its own, or a break of the policy.
(() => {
  if (window === top) return;
  const send = (signal) => top.postMessage({ signal }, "*");
  const replace = (object, name, result) =>
    Object.defineProperty(object, name, {
      configurable: true,
      writable: true,
      value: () => {
        send(`ran ${name}`);
        return result;
      },
    });
  for (const name of ["alert", "confirm", "print", "prompt", "open"]) replace(window, name, null);
  for (const name of ["log", "error", "warn", "info", "debug", "table", "dir"]) replace(console, name);
  // What the answer to every request for a script calls.
  replace(window, "ranRemoteScript");
  window.listen = () => {
    // An image that fails fires an event of the same name that is no ErrorEvent.
    addEventListener("error", (event) => event instanceof ErrorEvent && send("threw"), true);
    addEventListener("unhandledrejection", () => send("threw"));
    addEventListener("securitypolicyviolation", (event) => {
      if (event.effectiveDirective.startsWith("script-src")) send(`policy ${event.effectiveDirective}`);
    });
  };
  listen();
})();
