// Drag and drop, and progress.  Each form works without: this only sends it in another way, and shows what came back.

const formAt = (event) => (event.target instanceof Element ? event.target.closest("form:has(.drop)") : null);
const inputOf = (form) => form.querySelector("input[type=file]");

const say = (form, text) => {
  form.querySelector(".status").textContent = text;
};

function chosen(form) {
  const names = Array.from(inputOf(form).files, (file) => file.name);
  say(form, names.join(", "));
  if (names.length && form.classList.contains("at-once")) send(form, form.querySelector("button"));
}

function send(form, button) {
  if (form.ariaBusy === "true") return;
  const data = new FormData(form, button);
  const request = new XMLHttpRequest();
  const progress = form.querySelector("progress");
  const busy = (is) => {
    form.ariaBusy = is;
    progress.hidden = !is;
  };
  request.open("POST", form.action);
  request.responseType = "document";
  request.upload.addEventListener("progress", (event) => {
    progress.value = event.loaded / event.total;
    say(form, event.loaded < event.total ? `${Math.floor(progress.value * 100)} %` : "Saving …");
  });
  request.addEventListener("load", () => {
    busy(false);
    if (request.status < 400) return location.assign(request.responseURL);
    // The same page, which says beside the fields what was refused, and why.
    const main = request.response?.querySelector("main:has([autofocus], .alert)");
    if (!main) return say(form, "The server could not take it. Please try again.");
    document.querySelector("main").replaceWith(document.adoptNode(main));
    main.querySelector("[autofocus], .alert").focus();
  });
  request.addEventListener("error", () => {
    busy(false);
    say(form, "The upload was interrupted. Please try again.");
  });
  busy(true);
  request.send(data);
}

addEventListener("submit", (event) => {
  const form = formAt(event);
  if (!form || !inputOf(form).files.length) return;
  event.preventDefault();
  send(form, event.submitter);
});

addEventListener("change", (event) => {
  if (event.target.matches(".drop input")) chosen(event.target.form);
});

for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
  addEventListener(type, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    // Beside a form too, where the browser would otherwise leave the page for the file.
    event.preventDefault();
    const form = formAt(event);
    document.querySelectorAll(".over").forEach((other) => other.classList.remove("over"));
    if (!form) return;
    if (type === "drop") {
      const input = inputOf(form);
      const files = new DataTransfer();
      for (const file of Array.from(event.dataTransfer.files).slice(0, input.multiple ? undefined : 1)) files.items.add(file);
      input.files = files.files;
      chosen(form);
    } else if (type !== "dragleave") {
      form.querySelector(".drop").classList.add("over");
    }
  });
}
