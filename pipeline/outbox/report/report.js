"use strict";
(() => {
  const LEVELS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
  const CHUNK = 36;
  const THUMBNAILS = ".impasto/thumbnails/";
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const [form, query, style, status, sort] = ["tools", "query", "style", "status", "sort"].map(byId);
  const [cards, more, none, gallery] = ["cards", "more", "none", "gallery"].map(byId);
  const fold = (text) => text.normalize("NFC").toLowerCase();
  const lastPart = (path) => path.slice(path.lastIndexOf("/") + 1);
  const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 3, notation: "compact" });
  const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

  function element(tag, text, attributes = {}) {
    const made = document.createElement(tag);
    made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  }

  function linkOf(row) {
    return row.href || row.name.split("/").map(encodeURIComponent).join("/");
  }

  // For every result: its row, and the text that is searched.
  const results = data.results.map((row) => {
    const [styleName, paintings] = data.styles[row.style];
    const differences = data.differences[row.differences];
    const warnings = (row.warnings || []).map((index) => data.warnings[index]);
    const words = [row.name, data.inputs[row.content][0], styleName, ...warnings, ...differences.map(([key, value]) => `${key} ${value}`)];
    return { row, styleName, paintings, differences, warnings, text: fold(words.join("\n")) };
  });
  const troubles = [...document.querySelectorAll(".trouble")].map((item) => ({
    item, ...item.dataset, time: Date.parse(item.dataset.time) / 1000 || 0, text: fold(item.textContent),
  }));

  function curve(figure, row) {
    const svg = figure.querySelector("svg");
    const scales = row.curves.filter((scale) => scale[5].length > 1);
    const whole = scales.reduce((sum, scale) => sum + scale[2], 0);
    let left = 0;
    for (const [index, [, , evaluations, , , heights]] of scales.entries()) {
      const width = 240 * evaluations / whole;
      if (index) svg.append(shape("line", { x1: left, x2: left, y1: 0, y2: 40 }));
      const points = [...heights].map((height, step) =>
        `${(left + 2 + step * (width - 4) / (heights.length - 1)).toFixed(1)},${(38 - 36 * LEVELS.indexOf(height) / 63).toFixed(1)}`);
      svg.append(shape("polyline", { points: points.join(" ") }));
      left += width;
    }
    const descriptions = row.curves.map(([width, height, evaluations, first, best]) =>
      `${number.format(first)} to ${number.format(best)} in ${evaluations} evaluations at ${width}×${height} px`);
    svg.setAttribute("aria-label", `Objective: ${descriptions.join("; then ")}`);
    const [, , , first, best] = row.curves.at(-1);
    figure.querySelector("figcaption").textContent = `objective ${number.format(first)} → ${number.format(best)}`;
    figure.title = descriptions.join("\n");
    if (!scales.length) svg.remove();
  }

  function shape(tag, attributes) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  }

  function beside(box, kind, [path, thumbnail]) {
    const figure = document.createElement("figure");
    figure.append(thumbnail
      ? element("img", "", { src: THUMBNAILS + thumbnail, alt: `${kind}: ${lastPart(path)}`, loading: "lazy", decoding: "async" })
      : element("div", `no preview of the ${kind.toLowerCase()}`, { class: "blank" }));
    figure.append(element("figcaption", lastPart(path), { title: path }));
    box.append(figure);
  }

  function compare(box, row, content) {
    const [after, before] = box.querySelectorAll("img");
    const slider = box.querySelector("input");
    box.style.setProperty("--ratio", row.size[0] / row.size[1]);
    if (row.thumb) {
      after.src = THUMBNAILS + row.thumb;
      after.alt = `Result: ${row.name}`;
    } else {
      after.remove();
    }
    if (!row.thumb || !content[1]) {
      for (const part of [before, slider, box.querySelector(".handle")]) part.remove();
      return;
    }
    before.src = THUMBNAILS + content[1];
    slider.setAttribute("aria-label", `How much of the photograph covers the result, ${row.name}`);
    const show = () => {
      box.style.setProperty("--at", `${slider.value}%`);
      slider.setAttribute("aria-valuetext", `${slider.value} % photograph`);
    };
    slider.addEventListener("input", show);
    show();
  }

  function facts(row) {
    const parts = [`${row.size[0]} × ${row.size[1]} px`, `${row.evaluations} evaluations`, `${number.format(row.seconds)} s`];
    if (row.attempt) parts.push(`attempt ${row.attempt}`);
    if (row.time) parts.push(moment.format(row.time * 1000));
    return parts.map((part) => part.replaceAll(" ", "\u00a0")).join(" · ");
  }

  function card({ row, paintings, differences, warnings }) {
    const made = byId("card").content.cloneNode(true);
    const find = (selector) => made.querySelector(selector);
    const content = data.inputs[row.content];
    compare(find(".compare"), row, content);
    beside(find(".beside"), "Photograph", content);
    for (const painting of paintings) beside(find(".beside"), "Painting", data.inputs[painting]);
    const link = linkOf(row);
    find(".picture").textContent = row.name;
    find(".picture").href = link;
    find(".facts").textContent = facts(row);
    curve(find(".curve"), row);
    const warningList = find(".warnings"), differenceList = find(".differences");
    for (const warning of warnings) warningList.append(element("li", warning));
    for (const [key, value, usual] of differences) {
      const item = element("li", "");
      item.append(element("b", key), ` ${value} `, element("span", `not ${usual}`, { class: "other" }));
      differenceList.append(item);
    }
    for (const list of [warningList, differenceList]) if (!list.children.length) list.remove();
    for (const [text, href] of [["Picture", link], ["JSON", `${link}.json`]]) {
      const anchor = element("a", text, { href });
      anchor.append(element("span", ` of ${row.name}`, { class: "away" }));
      find(".links").append(anchor, " ");
    }
    return made;
  }

  const byName = (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  const missingLast = (value, direction) => (value ?? direction * Infinity);
  const orders = {
    newest: (a, b) => (b.time || 0) - (a.time || 0) || byName(a, b),
    oldest: (a, b) => (a.time || 0) - (b.time || 0) || byName(a, b),
    name: byName,
    highest: (a, b) => missingLast(b.best, -1) - missingLast(a.best, -1) || byName(a, b),
    lowest: (a, b) => missingLast(a.best, 1) - missingLast(b.best, 1) || byName(a, b),
  };

  let chosen = [];
  let drawn = 0;

  function drawMore() {
    const chunk = document.createDocumentFragment();
    for (const result of chosen.slice(drawn, drawn + CHUNK)) chunk.append(card(result));
    drawn = Math.min(drawn + CHUNK, chosen.length);
    cards.append(chunk);
    more.hidden = drawn === chosen.length;
  }

  function choose() {
    const words = fold(query.value).split(/\s+/).filter(Boolean);
    const matches = (text, styleName) => (!style.value || styleName === style.value) && words.every((word) => text.includes(word));
    const order = orders[sort.value];
    chosen = ["", "done", "warned"].includes(status.value)
      ? results.filter((each) => matches(each.text, each.styleName) && (status.value !== "warned" || each.warnings.length))
      : [];
    chosen.sort((a, b) => order(a.row, b.row));
    let shownTroubles = 0;
    for (const each of [...troubles].sort(order)) {
      each.item.hidden = !((!status.value || each.status === status.value) && matches(each.text, each.style));
      shownTroubles += !each.item.hidden;
      each.item.parentNode.append(each.item);
    }
    for (const section of document.querySelectorAll(".troubles")) section.hidden = !section.querySelector(".trouble:not([hidden])");
    cards.replaceChildren();
    drawn = 0;
    drawMore();
    const shown = chosen.length + shownTroubles, all = results.length + troubles.length;
    byId("count").textContent = shown === all ? `${all} in all` : `${shown} of ${all}`;
    gallery.hidden = !chosen.length && shown > 0;
    none.hidden = shown > 0 || !all;
    remember();
  }

  // The choice is kept in the address, so that it outlives a reload while a run goes on.
  const fields = { q: query, style, status, sort };

  function remember() {
    const kept = new URLSearchParams();
    for (const [name, field] of Object.entries(fields)) if (field.value && field.value !== "newest") kept.set(name, field.value);
    history.replaceState(null, "", kept.size ? `#${kept}` : location.pathname);
  }

  function recall() {
    const kept = new URLSearchParams(location.hash.slice(1));
    for (const [name, field] of Object.entries(fields)) {
      const value = kept.get(name);
      if (value !== null && (field === query || [...field.options].some((option) => option.value === value))) field.value = value;
    }
  }

  async function copy(button) {
    const command = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(command.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(command);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  }

  for (const time of document.querySelectorAll("time")) {
    const when = Date.parse(time.dateTime);
    if (when) { time.title = time.dateTime; time.textContent = moment.format(when); }
  }
  const range = byId("range");
  if (range) range.textContent = moment.formatRange(Date.parse(range.dataset.from), Date.parse(range.dataset.to));
  for (const button of document.querySelectorAll(".copy")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }
  form.hidden = !(results.length + troubles.length);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", choose);
  byId("clear").addEventListener("click", () => { form.reset(); choose(); query.focus(); });
  more.addEventListener("click", () => {
    const next = drawn;
    drawMore();
    cards.children[next]?.querySelector("a, input").focus();
  });
  new IntersectionObserver((seen) => { if (seen.some((each) => each.isIntersecting)) drawMore(); }, { rootMargin: "1200px" }).observe(more);
  recall();
  choose();
})();
