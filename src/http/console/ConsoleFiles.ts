/**
 * The page of the console: a few files, which the build makes from `console/`. They hold nothing of anybody, so that
 * they are open to all; what they show is asked for with the token of who looks. Read when they are first asked for.
 */
import { Effect } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"
import { gzip } from "node:zlib"

interface ConsoleFile {
  readonly type: string
  readonly name: string
}

/** By the path that they are asked for under. */
const files: ReadonlyMap<string, ConsoleFile> = new Map([
  ["/", { name: "index.html", type: "text/html; charset=utf-8" }],
  ["/console/app.js", { name: "app.js", type: "text/javascript; charset=utf-8" }],
  ["/console/app.css", { name: "app.css", type: "text/css; charset=utf-8" }],
  ["/console/icon.svg", { name: "icon.svg", type: "image/svg+xml" }]
])

export const consolePaths: ReadonlyArray<string> = [...files.keys()]

/** Whether a path is one of the page's own files. */
export const isConsoleFile = (path: string): boolean => files.has(path)

/**
 * Where they may lie: beside the bundle of the command line, beside the library, and beside the sources.
 */
const folders = ["../console", "../../console", "../../../dist/console"].map((path) => join(import.meta.dirname, path))

interface Loaded {
  readonly plain: Uint8Array
  readonly zipped: Uint8Array
}

const zip = promisify(gzip)

const read = async (name: string): Promise<Loaded | undefined> => {
  for (const folder of folders) {
    const plain = await readFile(join(folder, name)).catch(() => undefined)
    if (plain !== undefined) return { plain, zipped: await zip(plain, { level: 9 }) }
  }
  return undefined
}

const loaded = new Map<string, Promise<Loaded | undefined>>()

const load = (name: string): Promise<Loaded | undefined> => {
  const known = loaded.get(name) ?? read(name)
  loaded.set(name, known)
  return known
}

const missing = HttpServerResponse.text(
  "the console is not in this build: run npm run build; the figures are at /plain, /status and /metrics\n",
  { status: 404 }
)

/** The answer to a request for one of the files. */
export const answerFile = (path: string): Effect.Effect<
  HttpServerResponse.HttpServerResponse,
  never,
  HttpServerRequest.HttpServerRequest
> =>
  Effect.gen(function*() {
    const file = files.get(path) as ConsoleFile
    const found = yield* Effect.promise(() => load(file.name))
    if (found === undefined) return missing
    const { headers } = yield* HttpServerRequest.HttpServerRequest
    const zipped = /\bgzip\b/.test(headers["accept-encoding"] ?? "")
    return HttpServerResponse.uint8Array(zipped ? found.zipped : found.plain, {
      contentType: file.type,
      headers: zipped ? { "content-encoding": "gzip", vary: "accept-encoding" } : { vary: "accept-encoding" }
    })
  })
