// Charts of the overview. Their numbers stand in the page, as data and as a table.
(function () {
  "use strict";
  var COLOURS = ["#2f6fdb", "#d9822b", "#2b9d6b", "#b04dbd", "#c23b3b", "#1aa3b8", "#8a7a12", "#7a7a86"];
  var DASHES = [[], [6, 3], [2, 3], [10, 3, 2, 3]];

  function draw(figure) {
    var ink = getComputedStyle(document.body).color;
    var lines = JSON.parse(figure.dataset.lines);
    var names = Object.keys(lines);
    var axis = { stroke: ink, grid: { stroke: ink + "22", width: 1 }, ticks: { show: false } };
    figure.textContent = "";
    new uPlot({
      width: figure.clientWidth,
      height: 220,
      cursor: { drag: { x: false } },
      axes: [axis, Object.assign({ size: 56 }, axis)],
      scales: { y: { range: function (_chart, _low, high) { return [0, Math.max(1, high * 1.1)]; } } },
      series: [{ value: "{YYYY}-{MM}-{DD} {HH}:{mm}" }].concat(names.map(function (name, index) {
        return { label: name, stroke: COLOURS[index % COLOURS.length], dash: DASHES[index % DASHES.length], width: 2, points: { size: 5 } };
      }))
    }, [JSON.parse(figure.dataset.times)].concat(names.map(function (name) { return lines[name]; })), figure);
  }

  function drawAll() { document.querySelectorAll(".chart").forEach(draw); }

  var waiting;
  addEventListener("resize", function () { clearTimeout(waiting); waiting = setTimeout(drawAll, 100); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  drawAll();
})();
