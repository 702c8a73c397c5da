// Tells the page around a frame how high its content is, so that the frame can be as
// high: only pages that the agency has named, as only they may show it.
"use strict";
(() => {
  const allowed = document.currentScript.dataset.to.split(" ");
  const around = location.ancestorOrigins?.[0];
  const to = allowed.filter((origin) => new URL(origin).origin === around);
  new ResizeObserver(() => {
    const height = Math.ceil(document.body.getBoundingClientRect().height);
    // A browser that does not say who is around gives the message to nobody else.
    for (const origin of to.length ? to : allowed) parent.postMessage({ type: "portal:height", height }, origin);
  }).observe(document.body);
})();
