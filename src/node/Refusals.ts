/** How this node says that it does not take a command, or that another one leads. */
import type { WriteError } from "../FlareDbError.ts"
import { NotLeader, Overloaded } from "../FlareDbError.ts"
import type { RefusedReason } from "../raft/Output.ts"
import type { NodeId } from "../raft/Types.ts"

export class Refusals {
  private readonly nodeId: NodeId
  private readonly clientEndpoints: ReadonlyMap<NodeId, string>

  /** `clientEndpoints` holds `host:port` of each node's client port. */
  constructor(nodeId: NodeId, clientEndpoints: ReadonlyMap<NodeId, string>) {
    this.nodeId = nodeId
    this.clientEndpoints = clientEndpoints
  }

  /** The error that names the leader to the caller, as far as it is known. */
  notLeader(leader: NodeId | undefined): NotLeader {
    const endpoint = leader === undefined ? undefined : this.clientEndpoints.get(leader)
    return new NotLeader({
      nodeId: this.nodeId,
      ...(leader === undefined ? {} : { leaderId: leader }),
      ...(endpoint === undefined ? {} : { leaderEndpoint: endpoint })
    })
  }

  /** Why the core did not append a command. */
  notAppended(reason: RefusedReason): WriteError {
    switch (reason._tag) {
      case "NotLeader":
        return this.notLeader(reason.leader)
      case "Transferring":
        return this.notLeader(reason.target)
      case "Overloaded":
        return new Overloaded({
          limit: "maxUncommittedBytes",
          current: reason.uncommittedBytes,
          maximum: reason.limitBytes
        })
    }
  }
}
