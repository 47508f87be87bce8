// The colours that a browser computed, judged: see contrast.py.
([graphics, tokens, textMin, largeMin, graphicsMin]) => {
  const brush = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    brush.clearRect(0, 0, 1, 1);
    brush.fillStyle = colour;
    brush.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = brush.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], below) => [...[r, g, b].map((c, i) => a * c + (1 - a) * below[i]), 1];
  const behind = (element) => {
    const layers = [];
    for (let each = element; each; each = each.parentElement) {
      layers.push(rgba(getComputedStyle(each).backgroundColor));
      if (layers.at(-1)[3] === 1) break;
    }
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
  };
  const faded = (element) => {
    let share = 1;
    for (let each = element; each; each = each.parentElement) share *= getComputedStyle(each).opacity;
    return share;
  };
  const luminance = (colour) => colour.slice(0, 3).map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ratio = (one, other) => {
    const [a, b] = [luminance(one), luminance(other)];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const found = [];
  let looked = 0;
  const judge = (what, colour, ground, fade, least) => {
    looked += 1;
    const [r, g, b, a] = rgba(colour);
    const seen = ratio(over([r, g, b, a * fade], ground), ground);
    if (seen < least) found.push(`${what}: ${colour} is ${seen.toFixed(2)}:1, not ${least}`);
  };
  const shown = (element) => {
    const { width, height } = element.getBoundingClientRect();
    return element.checkVisibility({ visibilityProperty: true }) && width > 1 && height > 1;
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const said = texts.currentNode.textContent.trim();
    if (!said || !shown(element) || element.closest('script, noscript, title')) continue;
    const style = getComputedStyle(element);
    const px = parseFloat(style.fontSize);
    const large = px >= 24 || (px >= 18.66 && style.fontWeight >= 700);
    judge(`"${said.slice(0, 40)}"`, element instanceof SVGElement ? style.fill : style.color,
      behind(element), faded(element), large ? largeMin : textMin);
  }
  for (const field of document.querySelectorAll('input, textarea')) {
    if (!shown(field)) continue;
    for (const part of [null, '::placeholder']) {
      judge(`#${field.id} ${part ?? ''}`, getComputedStyle(field, part).color, behind(field), faded(field), textMin);
    }
  }
  for (const [selector, property] of Object.entries(graphics)) {
    for (const element of document.querySelectorAll(selector)) {
      if (!element.checkVisibility()) continue;
      judge(selector, getComputedStyle(element)[property], behind(element.parentElement), faded(element), graphicsMin);
    }
  }
  const token = (name) => getComputedStyle(document.querySelector('main')).getPropertyValue(name);
  for (const [drawn, ground] of tokens) {
    judge(`${drawn} on ${ground}`, token(drawn), rgba(token(ground)), 1, graphicsMin);
  }
  return { found: [...new Set(found)], looked };
}
