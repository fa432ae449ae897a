// ---- the view ------------------------------------------------------------------------------------------------

function moveTo(scale, x, y, isSudden = false) {
  const start = { ...view }, began = performance.now();
  const mine = (view.move = {});
  const step = (now) => {
    if (view.move !== mine) return;
    const part = still.matches || isSudden ? 1 : clamp((now - began) / 350, 0, 1), ease = 1 - (1 - part) ** 3;
    view.scale = start.scale + (scale - start.scale) * ease;
    view.x = start.x + (x - start.x) * ease;
    view.y = start.y + (y - start.y) * ease;
    draw();
    if (part < 1) requestAnimationFrame(step);
  };
  step(began);
}
const centreOn = (scale, x, y, isSudden) => moveTo(scale, svg.clientWidth / 2 - scale * x, svg.clientHeight / 2 - scale * y, isSudden);

function fit(isSudden = false) {
  const seen = nodes.filter((node) => !node.isGone);
  const [xs, ys] = [seen.map((node) => node.x), seen.map((node) => node.y)];
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const room = phone.matches ? 50 : 90;
  const scale = Math.min((svg.clientWidth - room) / (right - left), (svg.clientHeight - room) / (bottom - top));
  centreOn(clamp(scale, 0.02, 2), (left + right) / 2, (top + bottom) / 2, isSudden);
}
function zoom(factor, x = svg.clientWidth / 2, y = svg.clientHeight / 2) {
  const scale = clamp(view.scale * factor, 0.02, 20);
  pan(0, 0);
  view.x = x - ((x - view.x) * scale) / view.scale;
  view.y = y - ((y - view.y) * scale) / view.scale;
  view.scale = scale;
  draw();
}
function pan(dx, dy) {
  touched = true;
  view.move = null;
  view.x += dx;
  view.y += dy;
  draw();
}

function select(node) {
  selected = node;
  update();
  if (node) for (const one of [...near, node]) byId("nodes").append(one.group); // on top of the others
}
function goTo(node) {
  select(node);
  touched = true;
  const far = (axis) => Math.max(30, ...[...near].map((one) => Math.abs(one[axis] - node[axis])));
  const scale = Math.min((svg.clientWidth / 2 - 50) / far("x"), (svg.clientHeight / 2 - 40) / far("y"));
  centreOn(clamp(scale, 0.5, 1.8), node.x, node.y);
}

// ---- mouse, fingers, keys ------------------------------------------------------------------------------------

byId("zoom-in").addEventListener("click", () => zoom(1.4));
byId("zoom-out").addEventListener("click", () => zoom(1 / 1.4));
byId("zoom-fit").addEventListener("click", () => { fit(); touched = false; });
svg.addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = svg.getBoundingClientRect(), lines = event.deltaMode === 1 ? 16 : 1;
  zoom(Math.exp(-clamp(event.deltaY * lines, -120, 120) * 0.0025), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });

const fingers = new Map();
let press = null;
svg.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  svg.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, [event.clientX, event.clientY]);
  const group = event.target.closest(".node");
  press = { node: nodes.find((node) => node.group === group) ?? null, x: event.clientX, y: event.clientY, isClick: fingers.size === 1 };
});
svg.addEventListener("pointermove", (event) => {
  const last = fingers.get(event.pointerId);
  if (!last || !press) return;
  const now = [event.clientX, event.clientY], dx = now[0] - last[0], dy = now[1] - last[1];
  if (fingers.size > 1) {
    const [, fixed] = [...fingers].find(([id]) => id !== event.pointerId), box = svg.getBoundingClientRect();
    const apart = (point) => Math.max(1, Math.hypot(point[0] - fixed[0], point[1] - fixed[1]));
    zoom(apart(now) / apart(last), fixed[0] - box.left, fixed[1] - box.top);
  } else {
    const slack = event.pointerType === "touch" ? 8 : 4;
    if (press.isClick && Math.hypot(now[0] - press.x, now[1] - press.y) <= slack) return;
    press.isClick = false;
    if (press.node) { press.node.x += dx / view.scale; press.node.y += dy / view.scale; draw(); }
    else pan(dx, dy);
  }
  fingers.set(event.pointerId, now);
});
for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, (event) => {
  if (fingers.delete(event.pointerId) && end === "pointerup" && press.isClick) select(press.node);
  if (press && fingers.size) press.isClick = false;
});

document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  const step = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
  if (step && event.target !== svg) return;
  if (step) pan(...step);
  else if (event.key === "+" || event.key === "=") zoom(1.4);
  else if (event.key === "-") zoom(1 / 1.4);
  else if (event.key === "0") { fit(); touched = false; }
  else if (event.key === "/") byId("search").focus();
  else if (event.key === "Escape") select(null);
  else return;
  event.preventDefault();
});

new ResizeObserver(() => { if (!touched) fit(true); else draw(); }).observe(svg);
update();
