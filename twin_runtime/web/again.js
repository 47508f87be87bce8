// A page of which a part did not come loads again by itself: without a module nothing runs.

const AGAIN_MS = 2_000;

addEventListener(
  "error",
  ({ target }) => {
    if (!(target instanceof HTMLScriptElement)) return;
    document.getElementById("link").textContent = "A part of this page did not come; loading again …";
    setTimeout(() => location.reload(), AGAIN_MS);
  },
  true, // such an error does not bubble
);
