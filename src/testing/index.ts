/**
 * `flaredb/testing`: a whole cluster under a test's control, and what a storage back end of one's own must do. No
 * test runner is needed or assumed.
 */
export type { ConformanceCase } from "./Conformance.ts"
export { keyValueStoreCases } from "./KeyValueStoreSuite.ts"
export type { KeyValueStoreSuiteOptions } from "./KeyValueStoreSuite.ts"
export { logStoreCases } from "./LogStoreSuite.ts"
export type { LogStoreSuiteOptions } from "./LogStoreSuite.ts"
export { persistenceCases } from "./PersistenceSuite.ts"
export type { PersistenceSuiteOptions } from "./PersistenceSuite.ts"
export { peerTransportCases } from "./PeerTransportSuite.ts"
export type { PeerTransportSuiteOptions, TransportCluster } from "./PeerTransportSuite.ts"
export { runnerStorageCases } from "./RunnerStorageSuite.ts"
export type { RunnerStorageSuiteOptions } from "./RunnerStorageSuite.ts"
export { stateMachineCases } from "./StateMachineSuite.ts"
export type { SampleCommand, StateMachineSuiteOptions } from "./StateMachineSuite.ts"
export { stateStoreCases } from "./StateStoreSuite.ts"
export type { StateStoreSuiteOptions } from "./StateStoreSuite.ts"
export { TestCluster, TestNode } from "./TestCluster.ts"
export type { TestClusterOptions } from "./TestCluster.ts"
export { MemoryDisk } from "../storage/MemoryStore.ts"
export { MemoryNetwork } from "../transport/MemoryTransport.ts"
