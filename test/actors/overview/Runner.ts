/** A runner in memory on the real clock, for what is told of it. */
import { Actors } from "../../../src/actors/index.ts"

export const layerRunner = Actors.layerMemory({
  sharding: {
    shardsPerGroup: 4,
    refreshAssignmentsInterval: "100 millis",
    entityReplyPollInterval: "100 millis",
    shardLockRefreshInterval: "1 second",
    shardLockExpiration: "30 seconds"
  }
})
