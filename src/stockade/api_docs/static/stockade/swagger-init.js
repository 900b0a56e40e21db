"use strict";

// The page carries its configuration as JSON in data attributes, so that no script stands in the page
// itself and the policy can refuse every inline script.
(() => {
  const element = document.getElementById("swagger-ui");
  const parameters = JSON.parse(element.dataset.parameters);
  const redirect = element.dataset.oauth2RedirectUrl;
  const ui = SwaggerUIBundle({
    ...parameters,
    // What follows is ours alone: nothing in the parameters replaces it.
    dom_id: "#swagger-ui",
    url: element.dataset.openapiUrl,
    layout: "BaseLayout",
    presets: [SwaggerUIBundle.presets.apis],
    oauth2RedirectUrl: redirect === undefined ? undefined : window.location.origin + redirect,
    // A validator would be sent the address of the description.
    validatorUrl: null,
    // A link to this page must not choose what the page loads.
    queryConfigEnabled: false,
    useUnsafeMarkdown: false,
  });
  if (element.dataset.oauth !== undefined) {
    ui.initOAuth(JSON.parse(element.dataset.oauth));
  }
})();
