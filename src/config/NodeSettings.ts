/**
 * Every setting of a node: the one table behind the types, defaults, flags, variables, `--help`, validation and
 * `docs/configuration.md`. The names of flag and variable follow from the setting's own (`Setting.ts`).
 */
import { limitSettings } from "./Limits.ts"
import { localNodes } from "./NodeAddress.ts"
import type { IntegerSetting } from "./Setting.ts"

/** A setting that is text. */
export interface TextSetting {
  /** How its value is written. */
  readonly form: string
  /** One sentence without a full stop. */
  readonly text: string
  /** What holds without it, in words. */
  readonly otherDefault: string
}

export const textSettings = {
  clusterId: {
    form: "NAME",
    text: "names the cluster, so that nodes of two clusters never mix: 1 to 64 letters, digits, dots, dashes or " +
      "underscores",
    otherDefault: "local"
  },
  nodes: {
    form: "ID=HOST:CLIENT:PEER:HTTP,…",
    text: "all nodes of the cluster, one or three, the same at every node",
    otherDefault: "the three local ones"
  },
  dataDir: {
    form: "DIR",
    text: "the node's own data directory, created when missing",
    otherDefault: "./data/node-ID"
  },
  listenHost: {
    form: "HOST",
    text: "address to bind; containers bind 0.0.0.0 and are known by a name",
    otherDefault: "the node's own host"
  },
  httpHosts: {
    form: "NAME,…",
    text:
      "names under which the HTTP port answers, beside localhost, addresses and the hosts of the nodes; under any " +
      "other name only /livez and /readyz do; at most 64",
    otherDefault: "none"
  }
} satisfies Record<string, TextSetting>

export type TextName = keyof typeof textSettings

/** The settings of time: those of Raft's heartbeats and elections. */
export const timingSettings = {
  heartbeatMs: {
    unit: "milliseconds",
    default: 100,
    minimum: 5,
    text: "milliseconds between a leader's heartbeats; fewer repeat sooner what was lost, and cost messages and " +
      "processor time"
  },
  electionTimeoutMinMs: {
    unit: "milliseconds",
    default: 500,
    minimum: 1,
    text:
      "shortest time without a leader before an election in milliseconds, at least three heartbeats; below half a " +
      "second a garbage collection or a slow sync deposes healthy leaders, higher means longer outages after a real " +
      "loss"
  },
  electionTimeoutMaxMs: {
    unit: "milliseconds",
    default: 1_000,
    minimum: 1,
    text: "longest such time; the spread, at least two heartbeats, keeps nodes from campaigning together"
  }
} satisfies Record<string, IntegerSetting>

export type TimingName = keyof typeof timingSettings

export const timingNames = Object.keys(timingSettings) as ReadonlyArray<TimingName>

/** Every setting that is a whole number and has a default. */
export const integerSettings = { ...timingSettings, ...limitSettings }

export type IntegerName = keyof typeof integerSettings

export const nodeIdText = "which of the nodes this is; required"

export const unsafeNoFsyncText = "benchmarks only: skips every sync, and a power loss then loses acknowledged writes"

/** Everything that has a default. `nodeId` has none: a wrong guess would be another node. */
export const defaults = {
  clusterId: textSettings.clusterId.otherDefault,
  nodes: localNodes,
  httpHosts: [] as ReadonlyArray<string>,
  heartbeatMs: timingSettings.heartbeatMs.default,
  electionTimeoutMinMs: timingSettings.electionTimeoutMinMs.default,
  electionTimeoutMaxMs: timingSettings.electionTimeoutMaxMs.default,
  unsafeNoFsync: false
} as const

/** The default data directory of a node. */
export const defaultDataDir = (nodeId: number): string => `./data/node-${nodeId}`
