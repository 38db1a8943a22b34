// OpenAPI's description as a page.

import { ask, byId, element } from "./api.js";

const described = await ask("GET", "/openapi.json");
for (const [path, operations] of Object.entries(described.paths)) {
  for (const [method, operation] of Object.entries(operations)) {
    const made = element("div", { className: "operation" });
    made.append(element("h2", {}, element("code", {}, `${method.toUpperCase()} ${path}`)));
    made.append(element("p", {}, operation.description || operation.summary));
    const rows = (operation.parameters || []).map((p) => [`${p.name} (${p.in})`, p.schema]);
    for (const content of Object.values(operation.requestBody?.content || {})) {
      rows.push(["body", content.schema]);
    }
    const list = element("dl");
    for (const [name, schema] of rows) {
      const named = schema.$ref ? described.components.schemas[schema.$ref.split("/").pop()] : schema;
      list.append(element("dt", {}, name), element("dd", {}, element("code", {}, JSON.stringify(named))));
    }
    list.append(element("dt", {}, "answers"), element("dd", {}, Object.keys(operation.responses).join(", ")));
    made.append(list);
    byId("operations").append(made);
  }
}
