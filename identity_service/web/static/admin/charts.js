// Charts of the overview. Their numbers stand in the page, as data and as a table.
(function () {
  "use strict";
  var COLOURS = ["#2f6fdb", "#d9822b", "#2b9d6b", "#b04dbd", "#c23b3b", "#1aa3b8", "#8a7a12", "#7a7a86"];
  var MOMENT = uPlot.fmtDate("{YYYY}-{MM}-{DD} {HH}:{mm}");
  var NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
  var DASHES = [[], [6, 3], [2, 3], [10, 3, 2, 3]];

  function inUtc(time) { return uPlot.tzDate(new Date(time * 1000), "UTC"); }

  // Without a pointer on the chart, the legend has the newest numbers.
  function line(name, index) {
    var told = function (chart, number, series) {
      var numbers = chart.data && chart.data[series] || [];
      var shown = number == null && chart.cursor.idx == null ? numbers[numbers.length - 1] : number;
      return shown == null ? "<10" : NUMBER.format(shown);
    };
    var look = { stroke: COLOURS[index % COLOURS.length], dash: DASHES[index % DASHES.length], width: 2, points: { size: 5 } };
    return Object.assign({ label: name, value: told }, look);
  }

  function draw(figure) {
    var ink = getComputedStyle(document.body).color;
    var lines = JSON.parse(figure.dataset.lines);
    var names = Object.keys(lines), times = JSON.parse(figure.dataset.times);
    var grid = getComputedStyle(document.body).getPropertyValue("--pico-muted-border-color");
    var axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { show: false } };
    figure.textContent = "";
    new uPlot({
      width: figure.clientWidth,
      height: 220,
      cursor: { drag: { x: false } },
      axes: [axis, Object.assign({ size: 56 }, axis)],
      scales: { y: { range: function (_chart, _low, high) { return [0, Math.max(1, high * 1.1)]; } } },
      tzDate: inUtc,
      series: [{ value: function (_chart, time) { return MOMENT(inUtc(time == null ? times[times.length - 1] : time)); } }].concat(names.map(line))
    }, [times].concat(names.map(function (name) { return lines[name]; })), figure);
  }

  function drawAll() { document.querySelectorAll(".chart").forEach(draw); }

  var waiting;
  addEventListener("resize", function () { clearTimeout(waiting); waiting = setTimeout(drawAll, 100); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  drawAll();
})();
