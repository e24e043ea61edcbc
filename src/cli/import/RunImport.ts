/** `flaredb import etcd` once its command line is read: what it does, and what it prints. */
import type { Option } from "effect"
import { Effect } from "effect"
import { isLoopbackHost } from "../../net/Loopback.ts"
import { counted } from "../output/Counted.ts"
import * as Messages from "../output/Messages.ts"
import * as Output from "../output/Output.ts"
import type { Progress } from "../output/Progress.ts"
import { formatBytes, make as makeProgress } from "../output/Progress.ts"
import type { Compared } from "./Comparison.ts"
import type { EtcdOptions } from "./EtcdCalls.ts"
import { connect } from "./EtcdGateway.ts"
import type { EtcdSource } from "./EtcdSource.ts"
import type { ImportOptions, OnStep } from "./Import.ts"
import { Import } from "./Import.ts"
import { NotEqual } from "./ImportFailures.ts"
import type { Position } from "./Position.ts"
import { rangeOf } from "./StorePages.ts"
import type { Survey } from "./Survey.ts"

interface Shown {
  readonly progress: Option.Option<boolean>
  readonly json: boolean
}

/** One bar after the other, each with a rate of its own. */
const steps = (shown: Shown) => {
  let current: { readonly what: string; readonly bar: Progress } | undefined
  const end = Effect.suspend(() => current?.bar.end ?? Effect.void)
  const onStep: OnStep = (what) => (done, of) =>
    Effect.gen(function*() {
      if (current?.what !== what) {
        yield* end
        current = { what, bar: yield* makeProgress(what, shown) }
      }
      yield* current.bar.report(done, of)
    })
  return { onStep, end }
}

const sourceText = ({ cluster, version }: EtcdSource, revision: number): string =>
  `etcd ${version}, cluster ${cluster}, at revision ${revision}`

const surveyed = (source: EtcdSource, revision: number, found: Survey, json: boolean) => {
  const { bytes, different, equal, keys, leases, others, refused } = found
  if (json) {
    return Output.json({
      etcd: { version: source.version, cluster: source.cluster, revision },
      keys,
      bytes,
      leases: leases.size,
      equal,
      different: different.count,
      refused: refused.count,
      others: others.count
    })
  }
  return Output.lines([
    `${sourceText(source, revision)}: ${counted(keys, "key")}, ${formatBytes(bytes)}, ${counted(leases.size, "lease")}`,
    `in FlareDB: ${equal} equal, ${different.count} different, ${others.count} that etcd does not have`,
    `${refused.count} that FlareDB does not take`
  ].join("\n"))
}

/** Names the first keys of each kind. */
const named = ({ different, refused }: Survey) =>
  Effect.forEach(
    [
      ...refused.first.map((text) => `not taken: ${text}`),
      ...different.first.map((text) => `different in FlareDB: ${text}`)
    ],
    (text) => Messages.notice(text),
    { discard: true }
  )

const comparedJson = ({ ended, etcd, flaredb, kept, others, refused }: Compared, revision: number) => ({
  verified: true,
  revision,
  keys: flaredb.keys,
  sha256: flaredb.sha256,
  etcd,
  ended,
  kept,
  refused,
  others
})

/** What was not compared, and why. */
const leftOut = ({ ended, kept, others, refused }: Compared): string =>
  [
    [ended, "whose lease has ended in FlareDB"],
    [kept, "kept as they were in FlareDB"],
    [refused, "that FlareDB does not take"],
    [others, "that etcd does not have"]
  ].filter(([count]) => count !== 0).map(([count, what]) => `; not compared: ${count} ${what}`).join("")

const comparedText = (compared: Compared, revision: number): string =>
  `verified: ${counted(compared.flaredb.keys, "key")} equal to etcd at revision ${revision}, sha256 ` +
  `${compared.flaredb.sha256}${leftOut(compared)}`

/** Fails with the first keys that differ, each of which is named. */
const checked = Effect.fnUntraced(function*(compared: Compared, revision: number) {
  const { differences, first } = compared
  if (differences === 0) return
  yield* Effect.forEach(first, (text) => Messages.notice(text), { discard: true })
  return yield* new NotEqual({ differences, first, revision })
})

const importedText = ({ totals }: Position, resumed: boolean): string => {
  const { deleted, ended, equal, kept, leases, refused, replaced, written } = totals
  const rest = [
    [replaced, "of them over other contents"],
    [equal, "equal already"],
    [kept, "kept as they were"],
    [deleted, "deleted that etcd does not have"],
    [refused, "not taken"],
    [ended, "whose lease had ended"],
    [leases, `${leases === 1 ? "lease" : "leases"} granted`]
  ].filter(([count]) => count !== 0).map(([count, what]) => `, ${count} ${what}`).join("")
  return `${resumed ? "imported, going on where an earlier run was" : "imported"}: ${counted(written, "key")} ` +
    `written${rest}`
}

export interface RunOptions extends Shown {
  readonly dryRun: boolean
  readonly verify: boolean
}

/** Looks, compares, or imports and compares, and says what came of it. */
export const runImport = Effect.fnUntraced(function*(etcd: EtcdOptions, options: RunOptions, what: ImportOptions) {
  const { dryRun, json, verify } = options
  const open = etcd.endpoints.find(({ hostname, protocol }) =>
    protocol === "http:" && !isLoopbackHost(hostname.replace(/^\[|\]$/g, ""))
  )
  if (etcd.user !== undefined && open !== undefined) {
    yield* Messages.notice(`the password goes to ${open.origin} without TLS, where others may read it`)
  }
  const source = yield* connect(etcd, rangeOf(what.prefix))
  const importing = yield* Import.make(source, what)
  const { end, onStep } = steps(options)
  if (dryRun) {
    const revision = yield* importing.currentRevision
    const found = yield* Effect.ensuring(importing.look(revision, onStep), end)
    yield* named(found)
    yield* surveyed(source, revision, found, json)
    const hindrance = importing.hindrance(found)
    if (hindrance !== undefined) yield* Messages.notice(`an import would end at once: ${hindrance.message}`)
    return
  }
  if (verify) {
    const { compared, revision } = yield* Effect.ensuring(importing.verify(onStep), end)
    yield* checked(compared, revision)
    return yield* json
      ? Output.json(comparedJson(compared, revision))
      : Output.line(comparedText(compared, revision))
  }
  const { compared, position, resumed } = yield* importing.run(onStep).pipe(
    Effect.ensuring(end),
    Effect.onInterrupt(() => Messages.notice("flaredb: interrupted; the same command goes on where this one was"))
  )
  const { revision, totals } = position
  if (!json) yield* Output.line(importedText(position, resumed))
  yield* checked(compared, revision)
  yield* json
    ? Output.json({ ...totals, resumed, ...comparedJson(compared, revision), keys: compared.flaredb.keys })
    : Output.line(comparedText(compared, revision))
})
