/** An HTTP port with the API, over a cluster of one in memory, and requests to it. */
import { assert } from "@effect/vitest"
import { Context, Effect, Layer, Redacted, References, Schema } from "effect"
import type { IncomingHttpHeaders } from "node:http"
import { request } from "node:http"
import * as FlareDb from "../../../src/FlareDb.ts"
import type { Limits } from "../../../src/config/Limits.ts"
import { defaultLimits } from "../../../src/config/Limits.ts"
import * as ApiRoutes from "../../../src/http/api/ApiRoutes.ts"
import type { ApiFailure } from "../../../src/http/api/Failures.ts"
import { failureSchema, failureTags, statusOf } from "../../../src/http/api/Failures.ts"
import * as HttpServer from "../../../src/http/HttpServer.ts"
import type { RaftNode } from "../../../src/node/RaftNode.ts"
import type { ClientServices } from "../../../src/client/RemoteClient.ts"
import type { WatchServer } from "../../../src/server/WatchServer.ts"

export const quietly = Effect.provideService(References.MinimumLogLevel, "None")
export const host = "127.0.0.1"

export interface Asked {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  readonly token?: Redacted.Redacted | undefined
}

/** Parsed JSON, of which tests look at what they expect. */
export type Parsed = ReturnType<typeof JSON.parse>

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly bytes: Uint8Array
  readonly text: string
  /** Its body, when that is JSON. */
  readonly json: Parsed
}

/** Every failure that a test meets is one that the definition has, under its status. */
const assertFailure = (failure: ApiFailure, status: number | undefined): void => {
  assert.include(failureTags, failure.tag)
  Schema.decodeUnknownSync(failureSchema(failure.tag) as Schema.Codec<unknown>, { onExcessProperty: "error" })(failure)
  assert.strictEqual(status, statusOf(failure), failure.tag)
}

/** Asks for a path as it is written, without what URL parsers make of it. */
export const ask = (port: number, path: string, { body, headers = {}, method = "GET", token }: Asked = {}) =>
  Effect.callback<Answer>((resume) => {
    const sent = request(
      {
        host,
        port,
        path,
        method,
        agent: false,
        headers: {
          ...token === undefined ? {} : { authorization: `Bearer ${Redacted.value(token)}` },
          ...headers
        }
      },
      (response) => {
        const parts: Array<Buffer> = []
        response.on("data", (part: Buffer) => parts.push(part))
        response.on("end", () => {
          const bytes = Buffer.concat(parts)
          const text = bytes.toString("utf8")
          const isJson = response.headers["content-type"]?.startsWith("application/json") === true
          const answered: Parsed = isJson && text !== "" ? JSON.parse(text) : undefined
          if (typeof answered?.tag === "string") assertFailure(answered, response.statusCode)
          resume(Effect.succeed({
            status: response.statusCode ?? 0,
            headers: response.headers,
            bytes,
            text,
            json: answered
          }))
        })
      }
    )
    sent.on("error", (error) => resume(Effect.die(error)))
    sent.end(body)
    return Effect.sync(() => sent.destroy())
  })

export interface PortOptions {
  readonly limits?: Partial<Limits>
  readonly callers?: HttpServer.HttpCallers
}

/** The port; its cluster can be one that other ports share. */
export const port = (
  { callers, limits = {} }: PortOptions = {},
  cluster: Layer.Layer<ClientServices | RaftNode | WatchServer> = FlareDb.layerMemory
) =>
  Effect.gen(function*() {
    const all = { ...defaultLimits, ...limits }
    const context = yield* Layer.build(Layer.fresh(
      Layer.unwrap(Effect.map(
        Effect.context<ClientServices | RaftNode | WatchServer>(),
        (services) =>
          HttpServer.layer(
            { clusterId: "memory", listen: { host, port: 0 }, limits: all, callers },
            Layer.provide(ApiRoutes.layer(all), Layer.succeedContext(services))
          )
      )).pipe(Layer.provideMerge(cluster))
    ))
    const { port } = Context.get(context, HttpServer.HttpAddress)
    return { port, context, ask: (path: string, asked?: Asked) => ask(port, path, asked) }
  })

/** Puts JSON. */
export const json = (value: unknown, headers: Readonly<Record<string, string>> = {}): Asked => ({
  method: "POST",
  headers: { "content-type": "application/json", ...headers },
  body: JSON.stringify(value)
})
