/** The settings of the consensus core that follow from those of the node. */
import type { FlareDbConfig } from "../config/FlareDbConfig.ts"
import { tickMs } from "../config/FlareDbConfig.ts"
import type { Config } from "../raft/Config.ts"
import { compareNodeId, NodeId } from "../raft/Types.ts"

/** Most entries in one AppendRequest. Entries are small, so this bounds the work of one turn of a follower. */
const maxAppendEntries = 4_096

/** A leader steps down when its disk has stopped for six election timeouts, and not before this many ticks. */
const minPersistTicks = 300

/** One apply is one synchronous stretch of the state machine; half a MiB keeps it well below a heartbeat. */
const maxApplyBytes = 512 * 1024

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
    id: NodeId(config.nodeId),
    voters: config.nodes.map((node) => NodeId(node.id)).sort(compareNodeId),
    heartbeatTicks: Math.max(1, Math.round(config.heartbeatMs / tick)),
    electionTicksMin: Math.round(config.electionTimeoutMinMs / tick),
    electionTicksMax: Math.round(config.electionTimeoutMaxMs / tick),
    maxAppendBytes,
    maxAppendEntries,
    maxInflightMessages,
    maxInflightBytes,
    maxUncommittedBytes,
    maxCachedBytes,
    maxPendingReads,
    maxPersistTicks: Math.max(minPersistTicks, 6 * Math.round(config.electionTimeoutMinMs / tick)),
    maxApplyBytes,
    seed
  }
}
