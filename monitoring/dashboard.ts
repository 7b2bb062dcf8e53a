import { type Panel, ROWS } from "./dashboard-rows.ts";

/** Of Grafana's grid, 24 wide. */
const PANEL = { w: 8, h: 7 };
const PANELS_A_LINE = 3;

/** Grafana's model since version 10. */
const SCHEMA_VERSION = 39;

const DATASOURCE = { type: "prometheus", uid: "$datasource" };

/** monitoring/dashboard.json: what Grafana imports. */
export function dashboardJson(): string {
  const dashboard = {
    uid: "gearmesh",
    title: "gearmesh",
    tags: ["gearmesh"],
    schemaVersion: SCHEMA_VERSION,
    editable: true,
    graphTooltip: 1,
    refresh: "30s",
    time: { from: "now-1h", to: "now" },
    templating: {
      list: [
        { name: "datasource", label: "Data source", type: "datasource", query: "prometheus" },
        {
          name: "job",
          label: "Deployment",
          type: "query",
          datasource: DATASOURCE,
          query: { query: "label_values(gearmesh_build_info, job)", refId: "job" },
          refresh: 2,
          sort: 1,
        },
      ],
    },
    panels: laidOut(),
  };
  return `${JSON.stringify(dashboard, null, 2)}\n`;
}

/** Rows below each other, each with its panels, three a line. */
function laidOut(): object[] {
  const panels: object[] = [];
  let y = 0;
  for (const { title, panels: shown } of ROWS) {
    panels.push({
      id: panels.length + 1,
      type: "row",
      title,
      collapsed: false,
      gridPos: { x: 0, y, w: 24, h: 1 },
      panels: [],
    });
    y++;
    shown.forEach((panel, index) => {
      const x = (index % PANELS_A_LINE) * PANEL.w;
      const line = Math.floor(index / PANELS_A_LINE);
      panels.push(rendered(panel, panels.length + 1, { ...PANEL, x, y: y + line * PANEL.h }));
    });
    y += Math.ceil(shown.length / PANELS_A_LINE) * PANEL.h;
  }
  return panels;
}

function rendered({ title, unit = "short", queries }: Panel, id: number, gridPos: object): object {
  return {
    id,
    type: "timeseries",
    title,
    datasource: DATASOURCE,
    gridPos,
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    options: { legend: { displayMode: "list", placement: "bottom" }, tooltip: { mode: "multi", sort: "desc" } },
    targets: queries.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode("A".charCodeAt(0) + index),
      datasource: DATASOURCE,
      expr,
      legendFormat: legend,
    })),
  };
}
