// A page of which a part did not come loads again by itself, once the cloud answers: without a
// module nothing runs.

const AGAIN_MS = 2_000;

const loadAgain = () =>
  fetch("/", { method: "HEAD" }).then(() => location.reload(), () => setTimeout(loadAgain, AGAIN_MS));

addEventListener(
  "error",
  ({ target }) => {
    if (!(target instanceof HTMLScriptElement)) return;
    document.getElementById("link").textContent = "A part of this page did not come; loading again …";
    setTimeout(loadAgain, AGAIN_MS);
  },
  true, // such an error does not bubble
);
