/**
 * The configuration of one node, from its settings (`NodeSettings.ts`) and limits (`Limits.ts`), with a validation that
 * lists everything wrong at once, each problem with the field and what to do.
 *
 * Flags of `flaredb start`, `FLAREDB_…` variables and `FlareDb.layer({ … })` all end here.
 */
import { Effect } from "effect"
import type { ConfigProblem } from "./ConfigProblem.ts"
import { InvalidConfig } from "./ConfigProblem.ts"
import type { Limits } from "./Limits.ts"
import { limitNames, limitSettings, limitsOf } from "./Limits.ts"
import type { NodeAddress } from "./NodeAddress.ts"
import { nodesProblems } from "./NodeAddress.ts"
import type { TimingName } from "./NodeSettings.ts"
import { defaultDataDir, defaults, timingNames, timingSettings } from "./NodeSettings.ts"
import type { OtlpConfig } from "./Otlp.ts"
import { otlpProblems } from "./Otlp.ts"
import type { SecurityConfig } from "./Security.ts"
import { securityDefaults, securityProblems } from "./Security.ts"
import type { IntegerSetting } from "./Setting.ts"
import { integerProblem } from "./Setting.ts"

/** What each field means stands in the tables of settings, and in `docs/configuration.md`. */
export interface FlareDbConfig extends Readonly<Record<TimingName, number>>, OtlpConfig, SecurityConfig {
  readonly clusterId: string
  /** Which of `nodes` this is. */
  readonly nodeId: number
  readonly dataDir: string
  /** All voters, one or three. */
  readonly nodes: ReadonlyArray<NodeAddress>
  /** The node's own `host` when absent. */
  readonly listenHost?: string | undefined
  readonly httpHosts: ReadonlyArray<string>
  readonly unsafeNoFsync: boolean
  readonly limits: Limits
}

/** Any of the fields; one that is `undefined` counts as missing. */
type SomeOf<Fields> = { readonly [K in keyof Fields]?: Fields[K] | undefined }

/** What a caller writes: the required fields, and any of the others. */
export type FlareDbOptions =
  & Pick<FlareDbConfig, "nodeId">
  & SomeOf<Omit<FlareDbConfig, "nodeId" | "limits">>
  & { readonly limits?: SomeOf<Limits> | undefined }

const maxHttpHosts = 64

/** Milliseconds that a tick of the logical clock lasts at most: finely spread timeouts seldom end together. */
const longestTickMs = 10

/** How long one tick of the logical clock lasts: a fifth of a heartbeat, or less. */
export const tickMs = (config: Pick<FlareDbConfig, "heartbeatMs">): number =>
  Math.max(1, Math.min(longestTickMs, Math.round(config.heartbeatMs / 5)))

/** What a cluster may be called, wherever the name comes from. */
export const isClusterId = (text: string): boolean => /^[A-Za-z0-9._-]{1,64}$/.test(text)

const named = (field: string, problem: string | undefined): ReadonlyArray<ConfigProblem> =>
  problem === undefined ? [] : [{ field, problem }]

const identityProblems = ({ clusterId, dataDir, nodeId, nodes }: FlareDbConfig): ReadonlyArray<ConfigProblem> => [
  ...named(
    "clusterId",
    isClusterId(clusterId)
      ? undefined
      : `${JSON.stringify(clusterId)} must be 1 to 64 letters, digits, dots, dashes or underscores`
  ),
  ...nodesProblems(nodes),
  ...named(
    "nodeId",
    nodes.some(({ id }) => id === nodeId)
      ? undefined
      : `${nodeId} is not one of the voters (${nodes.map(({ id }) => id).join(", ")})`
  ),
  ...named("dataDir", dataDir.length === 0 ? "must not be empty" : undefined)
]

const addressProblems = ({ httpHosts, listenHost }: FlareDbConfig): ReadonlyArray<ConfigProblem> => [
  ...named(
    "listenHost",
    listenHost === ""
      ? "is empty, which would bind every interface; name an address, 0.0.0.0 if it is to be every one"
      : undefined
  ),
  ...httpHosts
    .filter((name) => !/^[A-Za-z0-9._-]{1,253}$/.test(name))
    .map((name) => ({ field: "httpHosts", problem: `${JSON.stringify(name)} is no host name without a port` })),
  ...named(
    "httpHosts",
    httpHosts.length > maxHttpHosts ? `has ${httpHosts.length} names; at most ${maxHttpHosts}` : undefined
  )
]

const timingProblems = (config: FlareDbConfig): ReadonlyArray<ConfigProblem> => {
  const { electionTimeoutMaxMs, electionTimeoutMinMs, heartbeatMs } = config
  return [
    ...timingNames.flatMap((name) => named(name, integerProblem(timingSettings[name], config[name]))),
    ...named(
      "electionTimeoutMinMs",
      electionTimeoutMinMs < 3 * heartbeatMs
        ? `${electionTimeoutMinMs} ms must be at least three heartbeats (${3 * heartbeatMs} ms), or one lost ` +
          "heartbeat deposes a healthy leader"
        : undefined
    ),
    ...named(
      "electionTimeoutMaxMs",
      electionTimeoutMaxMs < electionTimeoutMinMs + 2 * heartbeatMs
        ? `${electionTimeoutMaxMs} ms must exceed electionTimeoutMinMs by two heartbeats or more, or nodes campaign ` +
          "together"
        : undefined
    )
  ]
}

const limitProblems = ({ limits }: FlareDbConfig): ReadonlyArray<ConfigProblem> => [
  ...limitNames.flatMap((name) => {
    const setting: IntegerSetting = limitSettings[name]
    return named(`limits.${name}`, integerProblem(setting, limits[name]))
  }),
  ...named(
    "limits.logSlackEntries",
    limits.logSlackEntries >= limits.maxLogEntries
      ? `${limits.logSlackEntries} must be less than maxLogEntries (${limits.maxLogEntries}), or nothing is ever ` +
        "compacted"
      : undefined
  )
]

/** Everything wrong with a configuration; empty when it can be used. */
export const validate = (config: FlareDbConfig): ReadonlyArray<ConfigProblem> => [
  ...identityProblems(config),
  ...addressProblems(config),
  ...timingProblems(config),
  ...limitProblems(config),
  ...securityProblems(config),
  ...otlpProblems(config),
  // A field that is no limit would be ignored, and a misspelling would go unnoticed.
  ...Object.keys(config.limits)
    .filter((name) => !(name in limitSettings))
    .map((name) => ({ field: `limits.${name}`, problem: "is no limit; docs/configuration.md lists them" }))
]

/** The fields that are not `undefined`. */
const givenOf = <Fields extends object>(fields: SomeOf<Fields>): Partial<Fields> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<Fields>

/** Fills in the defaults and validates. */
export const make = (options: FlareDbOptions): Effect.Effect<FlareDbConfig, InvalidConfig> => {
  const { limits, nodeId, ...others } = options
  const given = givenOf<Omit<FlareDbConfig, "limits" | "nodeId">>(others)
  const config: FlareDbConfig = {
    ...defaults,
    dataDir: defaultDataDir(nodeId),
    listenHost: undefined,
    ...given,
    nodeId,
    ...securityDefaults(given),
    limits: limitsOf(givenOf<Limits>(limits ?? {}))
  }
  const problems = validate(config)
  return problems.length === 0 ? Effect.succeed(config) : Effect.fail(new InvalidConfig({ problems }))
}

/** The address of the node this configuration is for. */
export const ownAddress = (config: FlareDbConfig): NodeAddress => {
  const own = config.nodes.find((node) => node.id === config.nodeId)
  if (own === undefined) throw new RangeError(`node ${config.nodeId} is not one of the voters`)
  return own
}

/** Reads `NAME,NAME`; nothing is no name. */
export const parseHosts = (text: string): ReadonlyArray<string> =>
  text.trim() === "" ? [] : text.split(",").map((name) => name.trim())
