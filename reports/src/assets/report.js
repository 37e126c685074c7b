// The plots of a run: lanes, latency and rate over one shared axis of time.
// It reads the JSON in #run-data and draws on three canvases; it loads nothing and stores nothing.
"use strict";

(() => {
  const data = JSON.parse(document.getElementById("run-data").textContent);
  const colours = { ok: "#81bffc", info: "#ffa400", fail: "#ff1e90", step: "#8d99a6", seen: "#7c6fd6" };
  const GUTTER = 132; // room for names left of the plots, in pixels
  const OPERATIONS = new Set(["write", "read", "txn"]);
  const SYSTEMS = { db: "database", broker: "log", cache: "cache" };
  const FINAL_SYSTEM = { final_log: "log", final_cache: "cache" };
  const end = Math.max(1, data.end);
  const proof = new Set(data.proof);

  // ---- the events as they are in the history, and the marks that are drawn from them

  const [INDEX, TIME, PROCESS, TYPE, F, VALUE, ERROR] = data.fields.map((_, position) => position);
  const events = data.events;
  const positionOf = new Map(events.map((event, position) => [event[INDEX], position]));

  const asLine = (event) =>
    JSON.stringify(Object.fromEntries(data.fields.map((name, at) => [name, event[at]]).filter(([, v]) => v !== undefined)));

  // A mark: { lane, from, to, kind, events: positions }. Lanes are named first and numbered later.
  function collect() {
    const marks = [];
    const open = new Map();
    for (let at = 0; at < events.length; at++) {
      const event = events[at];
      if (OPERATIONS.has(event[F])) {
        if (event[TYPE] === "invoke") {
          // Until it is completed nobody knows what came of it: it lasts to the end.
          const mark = { lane: event[PROCESS], from: event[TIME], to: end, kind: "info", events: [at], operation: true };
          open.set(event[PROCESS], mark);
          marks.push(mark);
        } else {
          const mark = open.get(event[PROCESS]);
          if (!mark) continue;
          open.delete(event[PROCESS]);
          mark.to = event[TIME];
          mark.kind = event[TYPE];
          mark.events.push(at);
        }
      } else if (event[F] === "step") {
        const step = event[VALUE];
        const kind = step.outcome === "ok" ? "step" : "fail";
        const mark = { from: step.since ?? event[TIME], to: event[TIME], kind, events: [at], within: true };
        marks.push({ ...mark, lane: actorLane(step.actor) });
        if (step.system in SYSTEMS) marks.push({ ...mark, lane: SYSTEMS[step.system], system: true });
      } else if (String(event[F]).startsWith("final_")) {
        const lane = FINAL_SYSTEM[event[F]] ?? "database";
        marks.push({ lane, from: event[TIME], to: event[TIME], kind: "seen", events: [at], system: true });
      } else {
        marks.push({ lane: event[PROCESS], from: event[TIME], to: event[TIME], kind: "seen", events: [at] });
      }
    }
    for (const mark of marks) mark.proof = mark.events.some((at) => proof.has(events[at][INDEX]));
    return marks;
  }

  // A step of `client-3` belongs into the lane of client process 3.
  function actorLane(actor) {
    const client = /^client[- ]?(\d+)$/.exec(actor);
    return client ? Number(client[1]) : actor;
  }

  // Client processes share a row where one begins after another was retired; then actors, then systems.
  function arrange(marks) {
    const names = new Map();
    for (const mark of marks) {
      const entry = names.get(mark.lane) ?? { from: mark.from, to: 0, system: false };
      entry.from = Math.min(entry.from, mark.from);
      entry.to = Math.max(entry.to, mark.kind === "info" && mark.events.length === 1 ? mark.from : mark.to);
      entry.system ||= Boolean(mark.system);
      names.set(mark.lane, entry);
    }
    const rows = [];
    const rowOf = new Map();
    const clients = [...names].filter(([name]) => typeof name === "number").sort(([, a], [, b]) => a.from - b.from);
    for (const [name, entry] of clients) {
      let row = rows.find((candidate) => candidate.to < entry.from);
      if (!row) rows.push((row = { names: [], marks: [], group: "client" }));
      row.names.push(name);
      row.to = entry.to;
      rowOf.set(name, row);
    }
    rows.sort((a, b) => a.names[0] - b.names[0]);
    const others = [...names].filter(([name]) => typeof name !== "number").sort(([, a], [, b]) => a.system - b.system || a.from - b.from);
    for (const [name, entry] of others) {
      const row = { names: [name], marks: [], group: entry.system ? "system" : "actor" };
      rows.push(row);
      rowOf.set(name, row);
    }
    for (const mark of marks) {
      mark.row = rowOf.get(mark.lane);
      mark.row.marks.push(mark);
    }
    for (const row of rows) row.marks.sort((a, b) => a.from - b.from);
    return rows;
  }

  const marks = collect();
  const rows = arrange(marks);
  const operations = marks.filter((mark) => mark.operation);
  const completed = operations.filter((mark) => mark.events.length === 2);

  // ---- what is in view

  const view = { from: 0, to: end };
  let selected = null;
  let matching = null; // a set of marks while something is searched for

  function show(from, to) {
    const span = Math.min(Math.max(to - from, 1000), end * 1.04);
    const start = Math.min(Math.max(from, -end * 0.02), end * 1.02 - span);
    view.from = start;
    view.to = start + span;
    schedule();
  }

  function zoom(factor, around = (view.from + view.to) / 2) {
    show(around - (around - view.from) * factor, around + (view.to - around) * factor);
  }

  const whole = () => show(-end * 0.01, end * 1.01);

  let frame = 0;
  function schedule() {
    if (!frame) frame = requestAnimationFrame(draw);
  }

  // ---- drawing

  const canvases = ["lanes", "latency", "rate"].map((id) => document.getElementById(id));
  const [lanesCanvas, latencyCanvas, rateCanvas] = canvases;
  let rowHeight = 18;
  const AXIS = 20;
  const BANDS = 8;

  function resize() {
    rowHeight = Math.min(26, Math.max(7, Math.floor(640 / Math.max(1, rows.length))));
    lanesCanvas.style.height = `${rows.length * rowHeight + AXIS + BANDS}px`;
    for (const canvas of canvases) {
      const box = canvas.getBoundingClientRect();
      canvas.width = Math.round(box.width * devicePixelRatio);
      canvas.height = Math.round(box.height * devicePixelRatio);
    }
    schedule();
  }

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function begin(canvas) {
    const pen = canvas.getContext("2d");
    pen.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    const plot = {
      pen,
      width: canvas.width / devicePixelRatio,
      height: canvas.height / devicePixelRatio,
      ink: style("--ink"),
      ground: style("--ground"),
      faint: style("--faint"),
      line: style("--line"),
      alarm: style("--violated"),
    };
    plot.bottom = plot.height - AXIS;
    plot.scale = (plot.width - GUTTER) / (view.to - view.from);
    plot.x = (time) => GUTTER + (time - view.from) * plot.scale;
    pen.clearRect(0, 0, plot.width, plot.height);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    drawFaults(plot);
    drawTimes(plot);
    return plot;
  }

  function clipped(plot, paint) {
    plot.pen.save();
    plot.pen.beginPath();
    plot.pen.rect(GUTTER, 0, plot.width - GUTTER, plot.bottom);
    plot.pen.clip();
    paint();
    plot.pen.restore();
  }

  // A band in the fault's colour, with a solid strip on top; dashed edges where the fault did not take.
  function drawFaults(plot) {
    clipped(plot, () => {
      for (const fault of data.faults) {
        const x = plot.x(fault.from);
        const width = Math.max(2, plot.x(fault.to) - x);
        plot.pen.fillStyle = fault.colour;
        plot.pen.globalAlpha = fault.took ? 0.3 : 0.1;
        plot.pen.fillRect(x, 0, width, plot.bottom);
        plot.pen.globalAlpha = 1;
        plot.pen.fillRect(x, 0, width, 5);
        plot.pen.strokeStyle = fault.colour;
        plot.pen.setLineDash(fault.took ? [] : [4, 4]);
        plot.pen.strokeRect(x + 0.5, 0.5, Math.max(1, width - 1), plot.bottom - 1);
        plot.pen.setLineDash([]);
      }
    });
  }

  const NICE = [1, 2, 5];
  function niceStep(rough) {
    const power = 10 ** Math.floor(Math.log10(rough));
    return power * (NICE.find((factor) => factor * power >= rough) ?? 10);
  }

  function drawTimes(plot) {
    const step = niceStep((view.to - view.from) / Math.max(2, (plot.width - GUTTER) / 110));
    const [unit, name] = step >= 1e8 ? [1e9, "s"] : step >= 1e4 ? [1e6, "ms"] : [1e3, "µs"];
    const decimals = Math.max(0, -Math.floor(Math.log10(step / unit) + 1e-9));
    plot.pen.textAlign = "center";
    for (let time = Math.ceil(Math.max(0, view.from) / step) * step; time <= view.to; time += step) {
      const x = Math.round(plot.x(time)) + 0.5;
      stroke(plot, plot.line, [[x, 0], [x, plot.bottom]]);
      plot.pen.fillStyle = plot.faint;
      plot.pen.fillText(`${(time / unit).toFixed(decimals)} ${name}`, x, plot.bottom + AXIS / 2);
    }
  }

  function stroke(plot, colour, points, width = 1) {
    plot.pen.strokeStyle = colour;
    plot.pen.lineWidth = width;
    plot.pen.beginPath();
    points.forEach(([x, y], at) => (at ? plot.pen.lineTo(x, y) : plot.pen.moveTo(x, y)));
    plot.pen.stroke();
    plot.pen.lineWidth = 1;
  }

  const faded = (mark) => matching && !matching.has(mark);

  function drawLanes() {
    const plot = begin(lanesCanvas);
    rows.forEach((row, at) => {
      const y = BANDS + at * rowHeight;
      plot.pen.fillStyle = row.group === "client" ? plot.faint : plot.ink;
      plot.pen.textAlign = "left";
      if (rowHeight >= 11 || at % 2 === 0) plot.pen.fillText(rowName(row), 8, y + rowHeight / 2, GUTTER - 14);
      stroke(plot, plot.line, [[GUTTER, y + rowHeight - 0.5], [plot.width, y + rowHeight - 0.5]]);
    });
    clipped(plot, () => rows.forEach((row, at) => drawRow(plot, row, BANDS + at * rowHeight)));
  }

  function rowName(row) {
    if (row.group !== "client") return String(row.names[0]);
    const more = row.names.length > 2 ? ", .." : "";
    return `client ${row.names.slice(0, 2).join(", ")}${more}`;
  }

  // Marks narrower than a pixel are drawn once a pixel and colour, which keeps a hundred thousand quick.
  function drawRow(plot, row, y) {
    const drawnTo = {};
    const above = [];
    for (const mark of row.marks) {
      if (mark.to < view.from || mark.from > view.to) continue;
      const from = Math.max(plot.x(mark.from), GUTTER - 4);
      const to = Math.min(plot.x(mark.to), plot.width + 4);
      if (mark === selected || mark.proof) above.push([mark, from, to]);
      const key = mark.kind + (faded(mark) ? "-" : "");
      if (to < (drawnTo[key] ?? -1)) continue;
      drawnTo[key] = Math.max(from, to) + 0.7;
      drawMark(plot, mark, from, to, y);
    }
    for (const [mark, from, to] of above) {
      plot.pen.strokeStyle = mark === selected ? plot.ink : plot.alarm;
      plot.pen.lineWidth = 2;
      plot.pen.strokeRect(from - 1, y + 1, Math.max(4, to - from + 2), rowHeight - 3);
      plot.pen.lineWidth = 1;
    }
  }

  function drawMark(plot, mark, from, to, y) {
    const inset = mark.within && !mark.system ? rowHeight * 0.3 : 2;
    const width = Math.max(mark.kind === "seen" ? 3 : 1.5, to - from);
    plot.pen.globalAlpha = faded(mark) ? 0.12 : mark.system ? 0.6 : 1;
    plot.pen.fillStyle = colours[mark.kind];
    plot.pen.fillRect(from, y + inset, width, rowHeight - 1 - 2 * inset);
    plot.pen.globalAlpha = faded(mark) ? 0.2 : 1;
    if (width > 46 && rowHeight >= 13 && !(mark.within && !mark.system)) {
      plot.pen.save();
      plot.pen.beginPath();
      plot.pen.rect(from, y, width, rowHeight);
      plot.pen.clip();
      plot.pen.fillStyle = mark.kind === "ok" || mark.kind === "info" ? "#14171a" : plot.ink;
      plot.pen.textAlign = "left";
      plot.pen.fillText(label(mark), from + 4, y + rowHeight / 2);
      plot.pen.restore();
    }
    plot.pen.globalAlpha = 1;
  }

  // Latencies on a log scale from the power of ten below the least to the one above the greatest.
  const latencies = completed.map((mark) => Math.max(1000, mark.to - mark.from));
  const least = latencies.reduce((a, b) => Math.min(a, b), 1e9);
  const greatest = latencies.reduce((a, b) => Math.max(a, b), 1e4);
  const decades = [Math.floor(Math.log10(least)), Math.max(Math.ceil(Math.log10(greatest)), Math.floor(Math.log10(least)) + 1)];

  function latencyY(plot) {
    const [low, high] = decades;
    return (ns) => plot.bottom - 4 - ((Math.log10(Math.max(ns, 1)) - low) / (high - low)) * (plot.bottom - 16);
  }

  function drawLatency() {
    const plot = begin(latencyCanvas);
    const y = latencyY(plot);
    plot.pen.textAlign = "right";
    for (let decade = decades[0]; decade <= decades[1]; decade++) {
      stroke(plot, plot.line, [[GUTTER, y(10 ** decade)], [plot.width, y(10 ** decade)]]);
      plot.pen.fillStyle = plot.faint;
      plot.pen.fillText(duration(10 ** decade), GUTTER - 8, y(10 ** decade));
    }
    clipped(plot, () => {
      // The rarer outcomes lie on top.
      for (const kind of ["ok", "info", "fail"]) drawDots(plot, y, kind);
      drawPercentiles(plot, y);
    });
  }

  function drawDots(plot, y, kind) {
    const taken = new Uint8Array(Math.ceil(plot.width) * Math.ceil(plot.height));
    const size = kind === "ok" ? 2.5 : 4;
    plot.pen.fillStyle = colours[kind];
    for (const mark of completed) {
      if (mark.kind !== kind || mark.from < view.from || mark.from > view.to) continue;
      const [x, top] = [plot.x(mark.from), y(mark.to - mark.from)];
      const cell = Math.floor(top) * Math.ceil(plot.width) + Math.floor(x);
      if (taken[cell] && !mark.proof) continue;
      taken[cell] = 1;
      plot.pen.globalAlpha = faded(mark) ? 0.1 : 0.85;
      plot.pen.fillRect(x - size / 2, top - size / 2, size, size);
      plot.pen.globalAlpha = 1;
      if (mark.proof || mark === selected) {
        plot.pen.strokeStyle = mark === selected ? plot.ink : plot.alarm;
        plot.pen.strokeRect(x - 4, top - 4, 8, 8);
      }
    }
  }

  function drawPercentiles(plot, y) {
    [["p50", [6, 0]], ["p95", [7, 3]], ["p99", [2, 2]]].forEach(([name, dash], which) => {
      plot.pen.setLineDash(which === 0 ? [] : dash);
      let last = null;
      data.windows.forEach(([, , , percentiles], at) => {
        if (!percentiles) return;
        const height = y(percentiles[which]);
        const points = [[plot.x(at * data.window), height], [plot.x((at + 1) * data.window), height]];
        stroke(plot, plot.ink, last && last.at === at - 1 ? [last.point, ...points] : points, 1.3);
        if (points[0][0] < plot.width) last = { at, point: points[1] };
      });
      plot.pen.setLineDash([]);
      if (!last) return;
      // Side by side, since the lines often end at nearly the same height.
      const x = Math.min(last.point[0], plot.width - 4) - (2 - which) * 28;
      plot.pen.textAlign = "right";
      plot.pen.strokeStyle = plot.ground;
      plot.pen.lineWidth = 3;
      plot.pen.strokeText(name, x, last.point[1] - 8);
      plot.pen.lineWidth = 1;
      plot.pen.fillStyle = plot.ink;
      plot.pen.fillText(name, x, last.point[1] - 8);
    });
  }

  function drawRate() {
    const plot = begin(rateCanvas);
    const perSecond = (number) => (number * 1e9) / data.window;
    const most = data.windows.reduce((top, row) => Math.max(top, row[0], row[1], row[2]), 1);
    const step = niceStep(perSecond(most) / 3);
    const top = Math.ceil(perSecond(most) / step) * step;
    const y = (rate) => plot.bottom - 1 - (rate / top) * (plot.bottom - 14);
    plot.pen.textAlign = "right";
    for (let rate = 0; rate <= top; rate += step) {
      stroke(plot, plot.line, [[GUTTER, y(rate)], [plot.width, y(rate)]]);
      plot.pen.fillStyle = plot.faint;
      plot.pen.fillText(`${+rate.toFixed(2)}/s`, GUTTER - 8, y(rate));
    }
    clipped(plot, () => {
      ["ok", "info", "fail"].forEach((kind, which) => {
        if (data.windows.every((row) => row[which] === 0)) return;
        const points = data.windows.flatMap((row, at) => {
          const height = y(perSecond(row[which]));
          return [[plot.x(at * data.window), height], [plot.x(Math.min(end, (at + 1) * data.window)), height]];
        });
        stroke(plot, colours[kind], points, 2);
      });
    });
  }

  function draw() {
    frame = 0;
    drawLanes();
    drawLatency();
    drawRate();
  }

  // ---- words

  function duration(ns) {
    if (ns < 1e3) return `${ns} ns`;
    if (ns < 1e6) return `${+(ns / 1e3).toPrecision(3)} µs`;
    if (ns < 1e9) return `${+(ns / 1e6).toPrecision(3)} ms`;
    return `${+(ns / 1e9).toPrecision(3)} s`;
  }

  function label(mark) {
    const event = events[mark.events[mark.events.length - 1]];
    const value = event[VALUE] ?? {};
    if (event[F] === "step") return `${value.call}${value.saw ? ` → ${value.saw}` : ""}`;
    if (event[F] === "txn") return `txn ${[...(value.reads ?? []), ...(value.writes ?? [])].map((item) => item.key).join(" ")}`;
    if (value.key === undefined) return String(event[F]);
    return `${event[F]} ${value.key}${value.ver === undefined ? "" : ` v${value.ver}`}`;
  }

  function describe(mark) {
    const event = events[mark.events[mark.events.length - 1]];
    const length = mark.to - mark.from;
    const outcome = event[F] === "step" ? event[VALUE].outcome : mark.operation ? mark.kind : "";
    const who = event[F] === "step" ? event[VALUE].actor : event[PROCESS];
    const lines = [`${typeof who === "number" ? "client " : ""}${who}: ${label(mark)} ${outcome}`];
    lines.push(`at ${(mark.from / 1e6).toFixed(3)} ms${length ? `, took ${duration(length)}` : ""}`);
    if (mark.events.length === 1 && mark.operation) lines[1] = `at ${(mark.from / 1e6).toFixed(3)} ms, never completed`;
    if (event[ERROR]) lines.push(event[ERROR]);
    return lines.join("\n");
  }

  // ---- pointing, selecting, searching

  const tooltip = document.getElementById("tooltip");
  const output = document.getElementById("selected");

  function timeAt(canvas, x) {
    const width = canvas.getBoundingClientRect().width;
    return view.from + ((x - GUTTER) / (width - GUTTER)) * (view.to - view.from);
  }

  // The mark below the pointer; the shortest one where several overlap.
  function pick(canvas, x, y) {
    if (x < GUTTER) return null;
    const slack = ((view.to - view.from) / canvas.getBoundingClientRect().width) * 4;
    const time = timeAt(canvas, x);
    const near = (mark) => mark.from - slack <= time && time <= mark.to + slack;
    let candidates = [];
    if (canvas === lanesCanvas) {
      candidates = rows[Math.floor((y - BANDS) / rowHeight)]?.marks.filter(near) ?? [];
    } else if (canvas === latencyCanvas) {
      const height = latencyY({ bottom: canvas.getBoundingClientRect().height - AXIS });
      candidates = completed.filter((mark) => Math.abs(mark.from - time) <= slack && Math.abs(height(mark.to - mark.from) - y) < 5);
    }
    return candidates.reduce((best, mark) => (!best || mark.to - mark.from < best.to - best.from ? mark : best), null);
  }

  function faultAt(canvas, x) {
    const time = timeAt(canvas, x);
    return x < GUTTER ? null : data.faults.find((fault) => fault.from <= time && time <= fault.to);
  }

  function hover(canvas, pointer) {
    const box = canvas.getBoundingClientRect();
    const mark = pick(canvas, pointer.clientX - box.left, pointer.clientY - box.top);
    const fault = faultAt(canvas, pointer.clientX - box.left);
    const lines = [];
    if (mark) lines.push(describe(mark));
    if (fault) lines.push(`fault ${fault.id} on ${fault.system}: ${fault.took ? `${fault.hits} hits` : "did not take"}. ${fault.detail}`);
    tooltip.hidden = lines.length === 0;
    tooltip.textContent = lines.join("\n");
    tooltip.style.left = `${Math.max(4, Math.min(pointer.clientX + 14, innerWidth - tooltip.offsetWidth - 8))}px`;
    tooltip.style.top = `${Math.max(4, Math.min(pointer.clientY + 16, innerHeight - tooltip.offsetHeight - 8))}px`;
  }

  function select(mark) {
    selected = mark;
    output.textContent = mark ? mark.events.map((at) => asLine(events[at])).join("\n") : "Nothing is selected.";
    schedule();
  }

  function watch(canvas) {
    let drag = null;
    canvas.addEventListener("wheel", (wheel) => {
      wheel.preventDefault();
      const x = wheel.clientX - canvas.getBoundingClientRect().left;
      zoom(Math.exp(Math.sign(wheel.deltaY) * Math.min(Math.abs(wheel.deltaY), 120) * 0.0022), timeAt(canvas, Math.max(x, GUTTER)));
    }, { passive: false });
    canvas.addEventListener("pointerdown", (pointer) => {
      drag = { x: pointer.clientX, from: view.from, to: view.to, moved: false };
      canvas.setPointerCapture(pointer.pointerId);
    });
    canvas.addEventListener("pointermove", (pointer) => {
      if (!drag) return hover(canvas, pointer);
      const moved = pointer.clientX - drag.x;
      drag.moved ||= Math.abs(moved) > 3;
      const perPixel = (drag.to - drag.from) / (canvas.getBoundingClientRect().width - GUTTER);
      if (drag.moved) show(drag.from - moved * perPixel, drag.to - moved * perPixel);
    });
    canvas.addEventListener("pointerup", (pointer) => {
      const box = canvas.getBoundingClientRect();
      if (drag && !drag.moved) select(pick(canvas, pointer.clientX - box.left, pointer.clientY - box.top));
      drag = null;
    });
    canvas.addEventListener("pointercancel", () => (drag = null));
    canvas.addEventListener("pointerleave", () => (tooltip.hidden = true));
  }

  lanesCanvas.addEventListener("keydown", (key) => {
    const span = view.to - view.from;
    const moves = {
      ArrowLeft: () => show(view.from - span / 8, view.to - span / 8),
      ArrowRight: () => show(view.from + span / 8, view.to + span / 8),
      "+": () => zoom(0.6),
      "=": () => zoom(0.6),
      "-": () => zoom(1.6),
      0: whole,
    };
    if (!(key.key in moves) || key.ctrlKey || key.metaKey) return;
    key.preventDefault();
    moves[key.key]();
  });

  for (const button of document.querySelectorAll("button[data-zoom]")) {
    const act = { in: () => zoom(0.5), out: () => zoom(2), all: whole }[button.dataset.zoom];
    button.addEventListener("click", act);
  }

  for (const button of document.querySelectorAll("button[data-from]")) {
    button.addEventListener("click", () => {
      const [from, to] = [Number(button.dataset.from), Number(button.dataset.to)];
      const margin = Math.max(1e4, (to - from) * 0.08);
      show(from - margin, to + margin);
      document.getElementById("run").scrollIntoView();
    });
  }

  let waiting = 0;
  document.getElementById("find").addEventListener("input", (input) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => find(input.target.value.trim()), 150);
  });

  function find(text) {
    matching = text ? new Set(marks.filter((mark) => mark.events.some((at) => asLine(events[at]).includes(text)))) : null;
    document.getElementById("found").textContent = matching ? `${matching.size} found` : "";
    schedule();
  }

  // `#i12` addresses the event with index 12.
  function follow() {
    const address = /^#i(\d+)$/.exec(location.hash);
    const position = address && positionOf.get(Number(address[1]));
    if (position === null || position === undefined) return;
    const mark = marks.find((candidate) => candidate.events.includes(position));
    if (!mark) return;
    select(mark);
    const margin = Math.max((mark.to - mark.from) * 2, end / 200, 1e5);
    show(mark.from - margin, Math.min(mark.to, mark.from + margin * 4) + margin);
    document.getElementById("run").scrollIntoView();
  }

  for (const canvas of canvases) watch(canvas);
  addEventListener("resize", resize);
  addEventListener("hashchange", follow);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", schedule);
  resize();
  whole();
  follow();
})();
