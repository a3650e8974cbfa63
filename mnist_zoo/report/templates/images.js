// The test images that runs get wrong, filtered by run, true class, predicted class and confidence.

const IMAGES_AT_ONCE = 200;

const classNames = (set) => set.classes || set.counts.map((_, number) => String(number));

// Returns the errors of a run: image (its place in the list of the set), predicted class, confidence in per cent.
function errorsOf(run) {
  const found = [];
  for (let place = 0; place < run.errors.length; place += 3) {
    found.push({ image: run.errors[place], predicted: run.errors[place + 1], confidence: run.errors[place + 2], run });
  }
  return found;
}

// Returns the part of the sprite with an image, or its number if the page lacks its picture.
function pictureOf(set, image, caption) {
  const { sprite, images } = data.sets[set];
  if (!sprite || image >= sprite.count) return element("span", { class: "missing" }, `image ${images[0][image]}`);
  const left = image % sprite.across * sprite.width, top = Math.floor(image / sprite.across) * sprite.height;
  return svg("svg", { viewBox: `${left} ${top} ${sprite.width} ${sprite.height}`, role: "img", "aria-label": caption },
    svg("use", { href: `#sprite-${set}` }));
}

// Images that some of `members` (runs) get wrong, with choices of what is shown. All members use the test set `set`.
class Gallery {
  constructor(host, set, members) {
    Object.assign(this, { host, set, members, names: classNames(data.sets[set]) });
    this.filter = { members, true: "", predicted: "", from: 0, to: 100 };
    this.list = element("ul", { class: "images" });
    this.status = element("span", { role: "status" });
    this.more = element("button", { type: "button", onclick: () => this.show(Infinity) }, "Show all");
    const classes = [["", "any"], ...this.names.map((name, number) => [number, name])];
    this.true = this.choice("True class", classes, (value) => { this.filter.true = value; });
    this.predicted = this.choice("Predicted", classes, (value) => { this.filter.predicted = value; });
    host.replaceChildren(element("div", { class: "tools" }, members.length > 1 ? this.runChoice() : null,
      this.true.label, this.predicted.label, this.bound("Confidence from", "from"), this.bound("to", "to"), this.status, this.more), this.list);
    this.show(IMAGES_AT_ONCE);
  }

  choice(text, options, act) {
    const select = element("select", { onchange: () => { act(select.value); this.show(IMAGES_AT_ONCE); } },
      ...options.map(([value, name]) => element("option", { value }, name)));
    return { select, label: element("label", {}, `${text} `, select) };
  }

  // A choice of all runs, those of one configuration, or one of them.
  runChoice() {
    const groups = new Map();
    for (const run of this.members) groups.set(run.c, [...(groups.get(run.c) || []), run]);
    const options = [["all", `all ${this.members.length}`]], chosen = new Map([["all", this.members]]);
    for (const [number, own] of groups) {
      const label = configurations[number].label;
      options.push([`c${number}`, own.length > 1 ? `${label} (${own.length} seeds)` : label]);
      chosen.set(`c${number}`, own);
      for (const run of own.length > 1 ? own : []) {
        options.push([`r${runs.indexOf(run)}`, `\u00a0\u00a0${label} seed ${run.seed}`]);
        chosen.set(`r${runs.indexOf(run)}`, [run]);
      }
    }
    return this.choice("Runs", options, (value) => { this.filter.members = chosen.get(value); }).label;
  }

  bound(text, name) {
    const input = element("input", { type: "number", min: 0, max: 100, value: this.filter[name], onchange: () => {
      this.filter[name] = Number(input.value);
      this.show(IMAGES_AT_ONCE);
    } });
    return element("label", {}, `${text} `, input, " %");
  }

  // Shows the images of one true and one predicted class, as a cell of a confusion matrix asks.
  choose(classes) {
    for (const name of ["true", "predicted"]) {
      this.filter[name] = String(classes[name]);
      this[name].select.value = String(classes[name]);
    }
    this.show(IMAGES_AT_ONCE);
    this.host.scrollIntoView({ block: "nearest" });
  }

  // Returns the errors that the filter lets through, by image: those of the most runs first, then the most confident.
  found() {
    const { filter } = this, truths = data.sets[this.set].images[1], byImage = new Map();
    for (const run of filter.members) {
      for (const error of errorsOf(run)) {
        if (filter.true !== "" && truths[error.image] !== Number(filter.true)) continue;
        if (filter.predicted !== "" && error.predicted !== Number(filter.predicted)) continue;
        if (error.confidence < filter.from || error.confidence > filter.to) continue;
        if (!byImage.has(error.image)) byImage.set(error.image, []);
        byImage.get(error.image).push(error);
      }
    }
    const most = (errors) => errors.reduce((high, error) => Math.max(high, error.confidence), 0);
    return [...byImage].sort(([, a], [, b]) => b.length - a.length || most(b) - most(a));
  }

  show(count) {
    const found = this.found(), several = this.filter.members.length > 1;
    const shown = found.slice(0, count).map(([image, errors]) => {
      const votes = new Map();
      for (const error of errors) votes.set(error.predicted, (votes.get(error.predicted) || 0) + 1);
      const [predicted] = [...votes].sort((a, b) => b[1] - a[1])[0];
      const how = several ? `${errors.length} of ${this.filter.members.length}` : `${errors[0].confidence} %`;
      const caption = `true ${this.names[data.sets[this.set].images[1][image]]}, as ${this.names[predicted]}, ${how}`;
      return element("li", {}, element("button", { type: "button", title: "Which runs get it wrong?", onclick: () => showImage(this.set, image) },
        pictureOf(this.set, image, caption), element("span", {}, caption)));
    });
    this.list.replaceChildren(...shown);
    this.status.textContent = `${shown.length} of ${found.length} images`;
    this.more.hidden = shown.length === found.length;
  }
}

// Shows an image with the prediction of every run that gets it wrong.
function showImage(set, image) {
  const { images } = data.sets[set], names = classNames(data.sets[set]);
  const all = runs.filter((run) => configurations[run.c].set === set);
  const wrong = all.flatMap((run) => errorsOf(run).filter((error) => error.image === image));
  const caption = `Test image ${images[0][image]}, true class ${names[images[1][image]]}`;
  const dialog = element("dialog", { class: "image", "aria-label": caption, onclose: () => dialog.remove() },
    element("div", { class: "tools" }, element("h2", {}, caption), element("button", { type: "button", onclick: () => dialog.close() }, "Close")),
    element("div", { class: "large" }, pictureOf(set, image, caption)),
    element("p", {}, `${wrong.length} of ${all.length} runs are wrong:`),
    element("div", { class: "scroll" }, element("table", {},
      element("thead", {}, element("tr", {}, ...["configuration", "seed", "predicted", "confidence"].map((name) => element("th", { class: "word" }, name)))),
      element("tbody", {}, ...wrong.sort((a, b) => b.confidence - a.confidence).map((error) => element("tr", {},
        ...[configurations[error.run.c].label, error.run.seed, names[error.predicted], `${error.confidence} %`].map((text) => element("td", { class: "word" }, String(text)))))))));
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  document.body.append(dialog);
  dialog.showModal();
}

// Makes the images of the page a gallery of all errors, and lets the other images open theirs.
function openGalleries() {
  for (const figure of document.querySelectorAll("figure[data-images]")) {
    const set = Number(figure.dataset.set), list = figure.querySelector("ul");
    if (figure.dataset.images === "errors") {
      whenNear(figure, () => {
        const host = element("div", {});
        list.replaceWith(host);
        new Gallery(host, set, runs.filter((run) => configurations[run.c].set === set));
      });
    } else {
      for (const item of list.children) {
        item.replaceChildren(element("button", { type: "button", title: "Which runs get it wrong?",
          onclick: () => showImage(set, Number(item.dataset.place)) }, ...item.childNodes));
      }
    }
  }
}
