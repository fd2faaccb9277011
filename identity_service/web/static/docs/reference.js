// The API reference: Swagger UI over the description of this very service. A key that is entered stays in this page's memory.
(function () {
  "use strict";
  var DARK = matchMedia("(prefers-color-scheme: dark)");
  var DESCRIPTION = new URL("../openapi.json", location.href);

  function paint() { document.documentElement.classList.toggle("dark-mode", DARK.matches); }

  var PARTS = ["errors", "InfoContainer", "Calls", "AuthorizeBtnContainer", "FilterContainer", "operations", "Models"];

  // Each takes what Swagger UI draws, and gives what can be used without a pointer and without sight.
  function accessible(system) {
    var draw = system.React.createElement;
    function part(named) {
      return function (name) { return draw("div", { key: name, className: "wrapper" }, draw(named(name, true))); };
    }
    function drawn(element, fixed) {
      return function (props) { return draw(element, Object.assign({}, props, fixed)); };
    }
    function text(words) {
      return function (props) { return draw("span", null, words || props.text); };
    }
    return {
      // One landmark, which is the page's, and no choice among a single server. Groups of calls are headings of the third level.
      components: {
        Reference: function (props) { return draw("div", { className: "swagger-ui" }, PARTS.map(part(props.getComponent))); },
        Calls: function (props) { return draw("h2", { className: "calls" }, "Calls"); }
      },
      wrapComponents: {
        // A link inside the button that opens a call; opening it sets the address all the same.
        DeepLink: function () { return text(); },
        CloseIcon: function () { return text("Close"); },
        // Its label differs from what it shows.
        Button: function (Button) { return drawn(Button, { "aria-label": null }); },
        TextArea: function (TextArea) { return drawn(TextArea, { "aria-label": "Body" }); },
        // Browsers offer again what was once typed into a field.
        Input: function (Input) { return drawn(Input, { autoComplete: "off", spellCheck: false }); }
      }
    };
  }

  // Lists of examples and tables of answers have no name of their own.
  function name() {
    document.querySelectorAll("select.examples-select-element:not([aria-label])").forEach(function (list) {
      list.setAttribute("aria-label", "Example");
    });
    document.querySelectorAll("table.responses-table:not([aria-label])").forEach(function (table) {
      table.setAttribute("aria-label", "Answers of " + table.id.replace(/_responses$/, ""));
    });
  }

  function show(description) {
    // Calls go to the service that served the page, under whatever prefix, which is also all that the page's policy allows.
    description.servers = [{ url: new URL(".", DESCRIPTION).href.replace(/\/$/, "") }];
    SwaggerUIBundle({
      spec: description,
      dom_id: "#reference",
      layout: "Reference",
      deepLinking: true,
      docExpansion: "list",
      filter: true,
      defaultModelsExpandDepth: 0,
      validatorUrl: null,
      persistAuthorization: false,
      syntaxHighlight: { theme: "obsidian" },
      plugins: [accessible]
    });
  }

  function fail() { document.getElementById("reference").textContent = "The description of the API cannot be loaded. Reload the page to try again."; }

  new MutationObserver(name).observe(document.getElementById("reference"), { childList: true, subtree: true });
  paint();
  DARK.addEventListener("change", paint);
  fetch(DESCRIPTION).then(function (answer) { return answer.ok ? answer.json() : Promise.reject(answer.status); }).then(show).catch(fail);
})();
