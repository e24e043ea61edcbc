/** A running etcd, read through its JSON gateway: HTTP with bytes as base64 and numbers of 64 bits as text. */
import type { Scope } from "effect"
import { Effect } from "effect"
import type { EtcdOptions } from "./EtcdCalls.ts"
import { EtcdCalls } from "./EtcdCalls.ts"
import type { EtcdEntry, EtcdRange, EtcdSource } from "./EtcdSource.ts"
import type { EtcdFailure } from "./ImportFailures.ts"
import { EtcdOtherCluster, EtcdUnsupported } from "./ImportFailures.ts"

/** The oldest version that has its gateway under `/v3`. */
const oldest = [3, 4] as const

type Fields = Readonly<Record<string, unknown>>

/** A number of the gateway; what is 0 is left out. */
const numberOf = (value: unknown): number => value === undefined ? 0 : Number(value)

const bytesOf = (value: unknown): Uint8Array => Buffer.from(typeof value === "string" ? value : "", "base64")

const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64")

const headerOf = (answer: Fields): Fields => (answer["header"] ?? {}) as Fields

const entryOf = (kv: Fields): EtcdEntry => ({
  key: bytesOf(kv["key"]),
  value: bytesOf(kv["value"]),
  lease: typeof kv["lease"] === "string" ? kv["lease"] : "0"
})

/** The byte 0: alone it is the first key there can be, and as an end it means "to the last key". */
const zero = Uint8Array.of(0)

const bounds = ({ end, from }: Pick<EtcdRange, "from" | "end">): Fields => ({
  key: base64(from.byteLength === 0 ? zero : from),
  range_end: base64(end.byteLength === 0 ? zero : end)
})

/** The version, when this command reads it. */
const supported = (endpoint: string, answer: Fields): Effect.Effect<string, EtcdUnsupported> => {
  const version = String(answer["etcdserver"] ?? "")
  const [, major = "", minor = ""] = /^(\d+)\.(\d+)\./.exec(version) ?? []
  if (major === "") {
    return Effect.fail(new EtcdUnsupported({ endpoint, problem: "tells no version of etcd; is it a client URL?" }))
  }
  const known = Number(major) > oldest[0] || (Number(major) === oldest[0] && Number(minor) >= oldest[1])
  return known ? Effect.succeed(version) : Effect.fail(
    new EtcdUnsupported({
      endpoint,
      problem: `is etcd ${version}, whose JSON gateway is not under /v3 yet; import reads ${oldest.join(".")} and ` +
        "later. Upgrade etcd first, one minor version after the other"
    })
  )
}

class EtcdGateway implements EtcdSource {
  readonly version: string
  readonly cluster: string
  private readonly calls: EtcdCalls

  constructor(calls: EtcdCalls, version: string, cluster: string) {
    this.calls = calls
    this.version = version
    this.cluster = cluster
  }

  readonly head: EtcdSource["head"] = (range) =>
    Effect.map(this.call("/v3/kv/range", { ...bounds(range), count_only: true }), (answer) => ({
      revision: numberOf(headerOf(answer)["revision"]),
      keys: numberOf(answer["count"])
    }))

  readonly range: EtcdSource["range"] = ({ keysOnly, limit, revision, ...range }) =>
    Effect.map(
      this.call("/v3/kv/range", {
        ...bounds(range),
        revision: String(revision),
        limit: String(limit),
        ...keysOnly === true ? { keys_only: true } : {}
      }, revision),
      ({ count, kvs, more }) => ({
        entries: Array.isArray(kvs) ? kvs.map((kv: Fields) => entryOf(kv)) : [],
        more: more === true,
        count: numberOf(count)
      })
    )

  readonly remainingSeconds: EtcdSource["remainingSeconds"] = (lease) =>
    Effect.map(this.call("/v3/lease/timetolive", { ID: lease }), ({ TTL }) => numberOf(TTL))

  /** Endpoints of another cluster have other keys at the same revision. */
  private call(path: string, body: Fields, revision = 0): Effect.Effect<Fields, EtcdFailure> {
    return Effect.tap(this.calls.call(path, body, revision), (answer) => {
      const cluster = String(headerOf(answer)["cluster_id"])
      return cluster === this.cluster
        ? Effect.void
        : Effect.fail(
          new EtcdOtherCluster({ endpoint: this.calls.endpoint.origin, cluster, expected: this.cluster })
        )
    })
  }
}

/** Connects to etcd. Its connections are closed with the scope. */
export const connect = Effect.fnUntraced(function*(
  options: EtcdOptions,
  range: Pick<EtcdRange, "from" | "end">
): Effect.fn.Return<EtcdSource, EtcdFailure, Scope.Scope> {
  const calls = new EtcdCalls(options)
  yield* Effect.addFinalizer(() => calls.close)
  const { answer, endpoint } = yield* calls.version
  const version = yield* supported(endpoint, answer)
  // The range that is imported, because a user may be allowed to read no other one.
  const first = yield* calls.call("/v3/kv/range", { ...bounds(range), count_only: true })
  return new EtcdGateway(calls, version, String(headerOf(first)["cluster_id"]))
})
