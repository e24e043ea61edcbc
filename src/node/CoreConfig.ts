/** The settings of the consensus core that follow from those of the node. */
import type { FlareDbConfig } from "../config/FlareDbConfig.ts"
import { tickMs } from "../config/FlareDbConfig.ts"
import type { Config } from "../raft/Config.ts"
import { defaults } from "../raft/Config.ts"
import { compareNodeId, NodeId } from "../raft/Types.ts"

/** The core's settings, from the node's: milliseconds become ticks. */
export const coreConfig = (config: FlareDbConfig, seed: number): Config => {
  const tick = tickMs(config)
  const {
    maxAppendBytes,
    maxInflightMessages,
    maxInflightBytes,
    maxUncommittedBytes,
    maxCachedBytes,
    maxPendingReads
  } = config.limits
  return {
    ...defaults,
    id: NodeId(config.nodeId),
    voters: config.nodes.map((node) => NodeId(node.id)).sort(compareNodeId),
    heartbeatTicks: Math.max(1, Math.round(config.heartbeatMs / tick)),
    electionTicksMin: Math.round(config.electionTimeoutMinMs / tick),
    electionTicksMax: Math.round(config.electionTimeoutMaxMs / tick),
    maxAppendBytes,
    maxInflightMessages,
    maxInflightBytes,
    maxUncommittedBytes,
    maxCachedBytes,
    maxPendingReads,
    // A leader whose disk has stopped steps down after six election timeouts, and not before some seconds.
    maxPersistTicks: Math.max(defaults.maxPersistTicks, 6 * Math.round(config.electionTimeoutMinMs / tick)),
    // One apply is one synchronous stretch of the state machine; half a MiB keeps it well below a heartbeat.
    maxApplyBytes: 512 * 1024,
    seed
  }
}
