"use strict";
(() => {
  const page = JSON.parse(document.getElementById("labelling").textContent);
  const docs = page.documents, questions = page.questions;
  const KEY = "karat answers " + page.page, SETTINGS = "karat settings";
  const place = new Map(docs.map((d, i) => [d.document, i]));
  const $ = (id) => document.getElementById(id);
  let state = {}; // document -> { answers: { question: text or list }, note, flag }
  let at = 0, active = 0, changed = false, keeping = null, kept = true, posting = false, again = false;
  const undone = []; // what each change took the place of

  const make = (tag, about = {}, ...inside) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(about)) {
      if (name in made && name !== "list") made[name] = value; else made.setAttribute(name, value);
    }
    made.append(...inside);
    return made;
  };
  const plain = (about) => ({ dir: "auto", lang: "", ...about });
  const say = (text, alarm = false) => { $("status").textContent = text; $("status").className = alarm ? "alarm" : ""; };
  const copy = (value) => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)));
  const entry = (d) => state[d] || { answers: {}, note: "", flag: false };
  const empty = (e) => !e || (!Object.keys(e.answers).length && !e.note && !e.flag);
  const asks = (i) => (docs[i].ask ? questions.filter((q) => docs[i].ask.includes(q.name)) : questions);
  const must = (i) => { // texts may stay empty, unless there is nothing else
    const all = asks(i), needed = all.filter((q) => q.kind !== "text");
    return needed.length ? needed : all;
  };
  const done = (i) => { const e = state[docs[i].document]; return !!e && must(i).every((q) => q.name in e.answers); };
  const openQuestion = () => {
    const e = entry(docs[at].document);
    return questions.indexOf(asks(at).find((q) => !(q.name in e.answers)));
  };

  // ---- what is kept, saved and opened ------------------------------------------------------------------------------

  function keep() {
    clearTimeout(keeping);
    keeping = null;
    try {
      localStorage.setItem(KEY, JSON.stringify({ state, changed, at }));
      kept = true;
    } catch { kept = false; }
    count();
  }

  function touch() {
    changed = true;
    if (keeping === null) keeping = setTimeout(keep, 250);
    if (page.post) post();
    count();
  }

  function change(documents, how) {
    undone.push(documents.map((d) => [d, copy(state[d])]));
    if (undone.length > 500) undone.shift();
    how();
    for (const d of documents) if (empty(state[d])) delete state[d];
    touch();
  }

  function undo() {
    const last = undone.pop();
    if (!last) return say("There is nothing to take back.");
    for (const [d, before] of last) if (before === undefined) delete state[d]; else state[d] = before;
    touch();
    go(place.get(last[0][0]));
    say(`Taken back in document ${at + 1}.`);
  }

  function content() {
    const answers = [];
    for (const d of docs) {
      const e = state[d.document];
      if (!empty(e)) answers.push({ document: d.document, answers: e.answers, note: e.note, flag: e.flag });
    }
    const { origin, annotator, settles, asked } = page;
    return { format: "karat answers", version: 1, page: page.page, origin, annotator, settles, asked,
      saved: new Date().toISOString(), answers };
  }

  const leaves = (value) => {
    if (Array.isArray(value)) return value.flatMap(leaves);
    if (value !== null && typeof value === "object") {
      return Object.entries(value).flatMap(([key, inner]) => [key, ...leaves(inner)]);
    }
    return [String(value)];
  };

  function sha256(text) {
    const bytes = new TextEncoder().encode(text), n = bytes.length;
    const K = [], H = [];
    for (let p = 2; K.length < 64; p++) {
      let prime = true;
      for (let d = 2; d * d <= p; d++) if (p % d === 0) prime = false;
      if (!prime) continue;
      const part = (x) => ((x - Math.floor(x)) * 2 ** 32) >>> 0;
      if (H.length < 8) H.push(part(Math.sqrt(p)));
      K.push(part(Math.cbrt(p)));
    }
    const padded = new Uint8Array(((n + 8 >> 6) + 1) << 6);
    padded.set(bytes);
    padded[n] = 128;
    const view = new DataView(padded.buffer);
    view.setUint32(padded.length - 8, Math.floor(n / 2 ** 29));
    view.setUint32(padded.length - 4, (n << 3) >>> 0);
    const turn = (x, k) => (x >>> k) | (x << (32 - k)), w = new Uint32Array(64);
    for (let start = 0; start < padded.length; start += 64) {
      for (let i = 0; i < 64; i++) {
        if (i < 16) { w[i] = view.getUint32(start + 4 * i); continue; }
        const x = w[i - 15], y = w[i - 2];
        w[i] = w[i - 16] + (turn(x, 7) ^ turn(x, 18) ^ (x >>> 3)) + w[i - 7] + (turn(y, 17) ^ turn(y, 19) ^ (y >>> 10));
      }
      let [a, b, c, d, e, f, g, h] = H;
      for (let i = 0; i < 64; i++) {
        const one = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
        const two = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
        [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
      }
      [a, b, c, d, e, f, g, h].forEach((value, i) => { H[i] = (H[i] + value) | 0; });
    }
    return H.map((value) => (value >>> 0).toString(16).padStart(8, "0")).join("");
  }

  function text() {
    const all = content();
    return JSON.stringify({ ...all, checksum: sha256(leaves(all).join("\n")) }, null, 1) + "\n";
  }

  function save() {
    if (!leave()) return;
    const link = make("a", { href: URL.createObjectURL(new Blob([text()], { type: "application/json" })),
      download: `${page.stem}.answers.json` });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    changed = false;
    keep();
    say(`Saved as ${link.download} where your browser puts downloads. Return that file.`);
  }

  async function post() { // one at a time, the newest last
    again = true;
    if (posting) return;
    posting = true;
    try {
      while (again) {
        again = false;
        const headers = { "Content-Type": "application/json" };
        const reply = await fetch(page.post, { method: "POST", body: text(), headers });
        if (!reply.ok) throw new Error(await reply.text());
      }
      changed = false;
      count();
    } catch (error) {
      say(`The answers were not taken over: ${error.message}. Save a copy.`, true);
    }
    posting = false;
  }

  function opened(raw) {
    let file;
    try { file = JSON.parse(raw); } catch { return say("That file is not one that this page saved.", true); }
    if (!file || file.format !== "karat answers" || !Array.isArray(file.answers)) {
      return say("That file is not one that this page saved.", true);
    }
    if (file.page !== page.page) {
      return say(`That file belongs to another page (of ${file.annotator}); open it in the page that saved it.`, true);
    }
    const { checksum, ...rest } = file;
    if (sha256(leaves(rest).join("\n")) !== checksum) {
      return say("That file was changed or damaged since this page saved it; open one as it was saved.", true);
    }
    const news = file.answers.filter((a) => place.has(a.document));
    const entries = news.map((a) => [a.document, { answers: a.answers, note: a.note, flag: a.flag }]);
    const differ = entries.filter(([d, e]) => state[d] && JSON.stringify(leaves(e)) !== JSON.stringify(leaves(state[d])));
    if (differ.length && !confirm(`${differ.length} documents have other answers here than in the file. Take those of the file?`)) {
      return say("Nothing was taken from the file.");
    }
    const before = changed;
    if (entries.length) change(entries.map(([d]) => d), () => entries.forEach(([d, e]) => { state[d] = e; }));
    changed = before || entries.length < Object.keys(state).length;
    keep();
    go(firstOpen());
    say(`Opened: ${entries.length} documents with answers.`);
  }

  // ---- a question --------------------------------------------------------------------------------------------------

  const codes = (q) => {
    if (q.codes.length) return q.codes;
    if ((q.kind === "scale" || q.kind === "rating") && q.high - q.low <= 10) {
      const values = [];
      for (let v = q.low; v <= q.high; v++) values.push({ value: String(v), word: String(v), definition: "", examples: [], boundaries: "" });
      return values;
    }
    return [];
  };

  function fault(q, given) {
    if (!/^[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?$/i.test(given)) return `It must be ${q.allowed}.`;
    if (/^[+-]?[1-9]\d{0,2},\d{3}$/.test(given)) return "Write it without a comma: it could stand between thousands.";
    const value = Number(given.replace(",", "."));
    const whole = q.kind !== "scale" || Number.isInteger(value);
    const fits = (q.low === null || value >= q.low) && (q.high === null || value <= q.high);
    return whole && fits && Number.isFinite(value) ? "" : `It must be ${q.allowed}.`;
  }

  function put(q, value) {
    const d = docs[at].document;
    change([d], () => {
      const e = (state[d] = copy(entry(d)));
      if (value === null) delete e.answers[q.name]; else e.answers[q.name] = value;
    });
    show(q);
  }

  function chosen(q, value) { // a click or key on one of the classes
    if (q.kind !== "several") {
      put(q, value);
      return settled();
    }
    const now = entry(docs[at].document).answers[q.name];
    if (value === null) return put(q, Array.isArray(now) && !now.length ? null : []);
    const held = new Set(now || []);
    if (!held.delete(value)) held.add(value);
    put(q, held.size ? q.classes.map((c) => c.value).filter((v) => held.has(v)) : null);
  }

  function settled() { // on to the question that is open, or the document
    const open = openQuestion();
    if (done(at) && $("auto").checked) {
      const next = nextOpen();
      if (next !== null) return go(next);
    }
    if (open >= 0) mark(open, true);
  }

  function mark(index, focus = false) {
    active = index;
    questions.forEach((q, i) => q.box.classList.toggle("active", i === index));
    const q = questions[index];
    if (!focus) return;
    if (q.field) q.field.focus();
    else if (document.activeElement && document.activeElement.closest("fieldset")) q.inputs[0].focus();
    q.box.scrollIntoView({ block: "nearest" });
  }

  function build(q, index) {
    q.classes = codes(q);
    q.inputs = [];
    q.box = make("fieldset", {}, make("legend", plain({ textContent: q.asked })));
    q.box.addEventListener("focusin", () => mark(index));
    q.earlier = make("p", { className: "earlier", hidden: true });
    q.box.append(q.earlier);
    const id = `q${index}`;
    if (q.classes.length) {
      const digits = q.classes.every((c) => /^\d$/.test(c.word));
      const chips = make("div", { className: "chips" });
      const listed = q.kind === "several" ? [...q.classes, { value: null, word: "none of these" }] : q.classes;
      listed.forEach((c, k) => {
        const key = c.value === null ? (q.keys && q.keys["0"] !== undefined ? "" : "0") : digits ? c.word : k < 9 ? String(k + 1) : "";
        const input = make("input", { type: q.kind === "several" ? "checkbox" : "radio", name: id });
        input.addEventListener("click", () => chosen(q, c.value));
        q.inputs.push(input);
        (q.keys = q.keys || {})[key] = c.value;
        const word = make("span", plain({ textContent: c.word }));
        chips.append(make("label", { title: c.definition || "" }, input, ...(key && key !== c.word ? [make("kbd", { textContent: key, "aria-hidden": "true" })] : []), word));
      });
      q.listed = listed;
      q.box.append(chips);
    } else {
      const typed = q.kind === "text" ? make("textarea", { rows: 2, dir: "auto" }) : make("input", { type: "text", inputMode: "decimal" });
      typed.setAttribute("aria-label", q.asked);
      typed.setAttribute("aria-describedby", `${id}-wrong ${id}-hint`);
      typed.addEventListener("change", () => take(q));
      q.field = typed;
      q.inputs.push(typed);
      q.wrong = make("p", { className: "wrong", id: `${id}-wrong`, hidden: true });
      q.box.append(typed, q.wrong, make("p", { className: "hint", id: `${id}-hint`, textContent: q.kind === "text" ? "" : q.allowed }));
    }
    q.clear = make("button", { type: "button", className: "clear", textContent: "Clear answer", hidden: true });
    q.clear.setAttribute("aria-label", `Clear the answer to ${q.asked}`);
    q.clear.addEventListener("click", () => { put(q, null); q.inputs[0].focus(); });
    q.box.append(q.clear);
    if (q.codes.some((c) => c.definition || c.examples.length || c.boundaries)) {
      const list = make("dl", { lang: "" });
      for (const c of q.codes) {
        const told = make("dd");
        if (c.definition) told.append(make("p", { dir: "auto", textContent: c.definition }));
        for (const example of c.examples) told.append(make("p", { dir: "auto", textContent: `For example: \u201c${example}\u201d` }));
        if (c.boundaries) told.append(make("p", { dir: "auto", textContent: `Not this: ${c.boundaries}` }));
        list.append(make("dt", { dir: "auto", textContent: c.word }), told);
      }
      q.book = make("details", { open: questions.length === 1 && matchMedia("(min-width: 52rem)").matches }, make("summary", { textContent: "Codebook" }), list);
      q.box.append(q.book);
    }
    $("questions").append(q.box);
  }

  function take(q) { // what was typed; false where it cannot be an answer
    const given = q.field.value.trim();
    const now = entry(docs[at].document).answers[q.name];
    const why = given && q.kind !== "text" ? fault(q, given) : "";
    q.wrong.textContent = why;
    q.wrong.hidden = !why;
    q.field.setAttribute("aria-invalid", String(!!why));
    if (why) { say(`${q.asked}: ${why}`, true); return false; }
    const value = !given ? null : q.kind === "text" ? given : given.replace(",", ".");
    if (value !== (now === undefined ? null : now)) put(q, value);
    return true;
  }

  function leave() { // whether all that was typed is taken
    const note = $("note").value.trim();
    if (note !== entry(docs[at].document).note) remark({ note });
    return questions.every((q) => {
      const fits = !q.field || take(q);
      if (!fits) q.field.focus();
      return fits;
    });
  }

  function remark(what) {
    const d = docs[at].document;
    change([d], () => { state[d] = { ...copy(entry(d)), ...what }; });
  }

  function show(q) {
    const value = entry(docs[at].document).answers[q.name];
    if (q.field) {
      q.field.value = value === undefined ? "" : value;
      q.wrong.hidden = true;
      q.field.setAttribute("aria-invalid", "false");
    } else {
      q.listed.forEach((c, k) => {
        const none = c.value === null;
        q.inputs[k].checked = Array.isArray(value) ? (none ? !value.length : value.includes(c.value)) : value !== undefined && value === c.value;
      });
    }
    q.clear.hidden = value === undefined;
    const said = (docs[at].earlier || {})[q.name] || [];
    q.earlier.hidden = !said.length;
    q.earlier.replaceChildren(...said.map(([who, what]) => make("span", {}, `${who} answered: `, make("strong", plain({ textContent: what })))));
  }

  // ---- documents ---------------------------------------------------------------------------------------------------

  function go(index, focus = true) {
    at = Math.max(0, Math.min(docs.length - 1, index));
    const d = docs[at], e = entry(d.document);
    $("where").replaceChildren(`Document ${at + 1} of ${docs.length} `, make("small", { textContent: d.document }));
    $("text").textContent = d.text;
    $("text").scrollTop = 0;
    const notes = (d.earlier || {}).note || [];
    const shown = [...Object.entries(d.shown), ...notes.map(([who, what]) => [`Note of ${who}`, what])];
    $("shown").replaceChildren(...shown.map(([name, value]) => make("div", {}, make("dt", { textContent: name }), make("dd", { dir: "auto", textContent: value }))));
    questions.forEach(show);
    $("flag").checked = e.flag;
    $("note").value = e.note;
    $("goto").value = "";
    $("back").disabled = at === 0;
    $("next").disabled = at === docs.length - 1;
    const ask = asks(at);
    questions.forEach((q) => { q.box.hidden = !ask.includes(q); });
    const open = openQuestion();
    mark(open >= 0 ? open : questions.indexOf(ask[0]));
    if (focus) {
      const q = questions[active];
      if (q.field && q.kind !== "text") q.field.focus(); else $("where").focus({ preventScroll: true });
      $("where").scrollIntoView({ block: "nearest" });
    }
    count();
  }

  const match = (i) => ({ all: true, open: !done(i), flagged: entry(docs[i].document).flag })[$("filter").value];

  function step(direction) {
    if (!leave()) return;
    for (let i = at + direction; i >= 0 && i < docs.length; i += direction) if (match(i)) return go(i);
    say("There is no further document in this direction.");
  }

  function nextOpen() {
    for (let k = 1; k <= docs.length; k++) { const i = (at + k) % docs.length; if (!done(i) && i !== at) return i; }
    return null;
  }

  const firstOpen = () => Math.max(0, docs.findIndex((d, i) => !done(i)));

  function enter() {
    if (!leave()) return;
    const next = nextOpen();
    if (next !== null) return go(next);
    say(done(at) ? "All documents are answered. Save the file and return it." : "This is the only document that is not answered.");
  }

  function count() {
    const n = docs.reduce((sum, d, i) => sum + done(i), 0);
    const flagged = Object.values(state).filter((e) => e.flag).length;
    $("progress").max = docs.length;
    $("progress").value = n;
    $("count").textContent = `${n} of ${docs.length} answered` + (flagged ? `, ${flagged} flagged` : "");
    $("undo").disabled = !undone.length;
    const where = kept ? "Answers are kept in this browser" : "This browser cannot keep answers: save the file often";
    $("kept").textContent = page.post ? (changed ? "Saving ..." : "All answers are saved.")
      : `${where}${changed ? "; they are not yet saved to a file." : n || flagged ? " and saved to a file." : "."}`;
    $("kept").classList.toggle("alarm", !kept);
    document.title = `${n}/${docs.length} ${page.settles ? "Settling" : "Labelling"}, ${page.annotator}`;
  }

  // ---- keys --------------------------------------------------------------------------------------------------------

  const letters = {
    f: () => $("flag").click(), m: () => $("note").focus(), u: undo, s: save, "?": () => $("keys").showModal(),
    c: () => { const open = questions.some((q) => q.book && !q.book.open); questions.forEach((q) => { if (q.book) q.book.open = open; }); },
    ArrowLeft: () => step(-1), ArrowRight: () => step(1),
  };

  document.addEventListener("keydown", (event) => {
    if ($("keys").open || event.altKey) return;
    const where = event.target, control = event.ctrlKey || event.metaKey;
    const typing = where.matches("textarea, select, input[type=text]");
    if (control) {
      if (event.key === "s") { event.preventDefault(); save(); }
      if (event.key === "z" && !typing) { event.preventDefault(); undo(); }
      return;
    }
    if (event.key === "Escape" && typing) { where.blur(); $("where").focus(); return; }
    if (event.key === "Enter" && !where.matches("textarea, button, summary, a, select")) {
      event.preventDefault();
      if (where.id === "goto") return jump();
      const q = questions.find((other) => other.field === where);
      if (q && !take(q)) return;
      const e = entry(docs[at].document), open = must(at).find((other) => !(other.name in e.answers));
      if (q && open && open !== q) return mark(questions.indexOf(open), true);
      return enter();
    }
    if (typing) return;
    const q = questions[active];
    if (/^\d$/.test(event.key) && q.keys && event.key in q.keys) {
      event.preventDefault();
      chosen(q, q.keys[event.key]);
    } else if (event.key in letters) {
      event.preventDefault();
      letters[event.key]();
    }
  });

  function jump() {
    const index = Number($("goto").value) - 1;
    if (!Number.isInteger(index) || index < 0 || index >= docs.length) return say(`Go to a number from 1 to ${docs.length}.`, true);
    if (leave()) go(index);
  }

  $("answers").addEventListener("submit", (event) => event.preventDefault());
  $("save").addEventListener("click", save);
  $("open").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", async () => {
    const [file] = $("file").files;
    if (file) opened(await file.text());
    $("file").value = "";
  });
  $("undo").addEventListener("click", undo);
  $("help").addEventListener("click", () => $("keys").showModal());
  $("back").addEventListener("click", () => step(-1));
  $("next").addEventListener("click", () => step(1));
  $("open-next").addEventListener("click", enter);
  $("goto").addEventListener("change", () => { if ($("goto").value.trim()) jump(); });
  $("flag").addEventListener("change", () => remark({ flag: $("flag").checked }));
  $("note").addEventListener("change", () => remark({ note: $("note").value.trim() }));

  const settings = (() => { try { return JSON.parse(localStorage.getItem(SETTINGS)) || {}; } catch { return {}; } })();
  const set = (name, value) => {
    settings[name] = value;
    try { localStorage.setItem(SETTINGS, JSON.stringify(settings)); } catch { /* kept for this visit only */ }
  };
  const theme = (value) => { if (value) document.documentElement.dataset.theme = value; };
  theme(settings.theme);
  $("theme").addEventListener("click", () => {
    const dark = settings.theme ? settings.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    set("theme", dark ? "light" : "dark");
    theme(settings.theme);
  });
  $("auto").checked = settings.auto === undefined ? questions.length === 1 : settings.auto;
  $("auto").addEventListener("change", () => set("auto", $("auto").checked));

  addEventListener("beforeunload", (event) => { leave(); if (changed) { event.preventDefault(); event.returnValue = ""; } });
  addEventListener("pagehide", () => { if (keeping !== null) keep(); });
  addEventListener("storage", (event) => {
    if (event.key !== KEY || !event.newValue) return;
    ({ state, changed } = JSON.parse(event.newValue));
    undone.length = 0;
    go(at, false);
    say("This page is open in another tab as well; its answers were taken over.");
  });

  // ---- start -------------------------------------------------------------------------------------------------------

  $("title").textContent = page.settles ? `Settling disagreements: ${page.annotator}` : `Labelling: ${page.annotator}`;
  if (page.instructions) {
    $("instructions").hidden = false;
    $("instructions").lastElementChild.textContent = page.instructions;
  }
  if (page.post) $("save").textContent = "Save a copy";
  questions.forEach(build);
  try {
    const before = page.start || JSON.parse(localStorage.getItem(KEY));
    if (before) ({ state, changed } = before);
  } catch { /* nothing that can be read: begin anew */ }
  go(firstOpen(), false);
  if (Object.keys(state).length) say("Your answers of last time are here.");
})();
