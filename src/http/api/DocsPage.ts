/** The page that explains the API, made from its definition. It loads nothing, and has the style of the status page. */
import { OpenApi } from "effect/http-api"
import { escapeHtml } from "../Html.ts"
import * as StatusPage from "../StatusPage.ts"
import { version } from "../../Version.ts"
import { Api } from "./Api.ts"

/** What the page reads of a document. */
interface Operation {
  readonly summary?: string
  readonly description?: string
  readonly parameters?: ReadonlyArray<{ readonly name: string; readonly in: string; readonly required?: boolean }>
  readonly responses?: Readonly<Record<string, unknown>>
}

const examples = [
  "curl -X PUT --data-binary hello localhost:7201/v1/keys/greeting",
  "curl localhost:7201/v1/keys/greeting",
  "curl -N 'localhost:7201/v1/watch?prefix=greet'",
  "curl -X PUT -H 'If-Match: \"2\"' --data-binary again localhost:7201/v1/keys/greeting",
  "curl -X PUT -H \"Idempotency-Key: $(uuidgen)\" --data-binary once localhost:7201/v1/keys/greeting",
  "curl -d '{\"if\":[{\"key\":\"a\",\"exists\":false}],\"do\":[{\"op\":\"put\",\"key\":\"a\",\"value\":\"1\"}]}' " +
  "localhost:7201/v1/txn"
]

const row = (
  method: string,
  path: string,
  { description = "", parameters = [], responses = {}, summary = "" }: Operation
) => {
  const named = parameters.filter((parameter) => parameter.in !== "path")
    .map((parameter) => `${escapeHtml(parameter.name)}${parameter.in === "header" ? " (header)" : ""}`)
  return `<tr><th><code>${method.toUpperCase()} ${escapeHtml(path)}</code></th><td><b>${escapeHtml(summary)}.</b> ` +
    `${escapeHtml(description)}${named.length === 0 ? "" : `<br>Takes: ${named.join(", ")}`}` +
    `<br>Answers: ${escapeHtml(Object.keys(responses).join(", "))}</td></tr>`
}

export const render = (): string => {
  const { paths } = OpenApi.fromApi(Api) as unknown as {
    readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  }
  const rows = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => row(method, path, operation))
  )
  return `<!doctype html><html lang="en"><head><meta charset="utf-8">` +
    `<meta name="viewport" content="width=device-width"><title>The HTTP API of FlareDB</title>` +
    `<style>${StatusPage.style}</style></head><body><h1>The HTTP API of FlareDB ${escapeHtml(version)}</h1>` +
    `<p>Any node answers. <a href="/v1/openapi.json">/v1/openapi.json</a> is the same for programs, and ` +
    `docs/http-api.md tells of limits and promises.</p>` +
    examples.map((line) => `<p><code>${escapeHtml(line)}</code></p>`).join("") +
    `<p>A failure is JSON: <code>tag</code> names it, <code>message</code> says what to do, <code>wasWritten</code> ` +
    `is no, unknown or yes, and <code>retry</code> is never, later, with-id or read-again.</p>` +
    `<table>${rows.join("")}</table><p><a href="/">This node</a></p></body></html>`
}
