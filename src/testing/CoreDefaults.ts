/** Settings of cores under test, in round numbers. A node's follow from its own settings (`node/CoreConfig.ts`). */
import type { Config } from "../raft/Config.ts"

export const coreDefaults = {
  heartbeatTicks: 10,
  electionTicksMin: 50,
  electionTicksMax: 100,
  maxAppendBytes: 1024 * 1024,
  maxAppendEntries: 4096,
  maxInflightMessages: 64,
  maxInflightBytes: 16 * 1024 * 1024,
  maxUncommittedBytes: 64 * 1024 * 1024,
  maxApplyBytes: 4 * 1024 * 1024,
  maxCachedBytes: 32 * 1024 * 1024,
  maxPendingReads: 65_536,
  maxPersistTicks: 300,
  seed: 1
} satisfies Partial<Config>
