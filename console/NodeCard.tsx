/** One node: who it is, what it does, and what it has left. */
import type { ComponentChildren } from "preact"
import { formatDifference } from "../src/DurationText.ts"
import { bytes, count, milliseconds, span } from "./Format.ts"
import type { NodeSample } from "./Types.ts"

const roleOf = ({ problem, role, snapshot, membership }: NodeSample): string =>
  problem !== null
    ? "not reachable"
    : snapshot !== null
    ? `is sent the state, ${Math.round(snapshot * 100)} %`
    : membership !== null && membership !== "voter"
    ? membership
    : role ?? "unknown"

const levelOf = ({ problem, role, membership, waiting }: NodeSample): string =>
  problem !== null
    ? "critical"
    : waiting !== null || membership !== "voter"
    ? "warning"
    : role === "leader"
    ? "leader"
    : "fine"

interface Meter {
  readonly name: string
  readonly used: number | null
  readonly of: number | null
  readonly text: string
}

const Meter = ({ name, of, text, used }: Meter) => (
  <div class="meter">
    <dt>{name}</dt>
    <dd>
      {used === null || of === null || of <= 0
        ? null
        : <meter aria-label={name} min={0} max={of} value={used} high={of * 0.85} low={0} optimum={0} />}
      {text}
    </dd>
  </div>
)

const Fact = ({ name, text }: { readonly name: string; readonly text: string }) => (
  <div>
    <dt>{name}</dt>
    <dd>{text}</dd>
  </div>
)

const Facts = ({ node }: { readonly node: NodeSample }) => {
  const { applied, clockAheadMs, commitLatency, lag, syncLatency, vitals } = node
  const disk = vitals === null || vitals.diskBytes === null || vitals.diskFreeBytes === null
    ? null
    : vitals.diskBytes - vitals.diskFreeBytes
  return (
    <dl>
      <Fact name="Lag" text={lag === null ? "–" : `${count(lag)} entries`} />
      <Fact name="Sync, p99" text={milliseconds(syncLatency?.p99Ms)} />
      {node.role === "leader" ? <Fact name="Commit, p99" text={milliseconds(commitLatency?.p99Ms)} /> : null}
      <Fact name="Applied" text={count(applied)} />
      {vitals === null ? null : (
        <>
          <Meter
            name="Memory"
            used={vitals.heapBytes}
            of={vitals.heapLimitBytes}
            text={`${bytes(vitals.residentBytes)}`}
          />
          <Meter
            name="Disk"
            used={disk}
            of={vitals.diskBytes}
            text={`${bytes(vitals.dataBytes)}, ${bytes(vitals.diskFreeBytes)} free`}
          />
          <Fact name="Up for" text={span(vitals.uptimeMs)} />
        </>
      )}
      <Fact
        name="Clock"
        text={clockAheadMs === null ? "–" : clockAheadMs === 0 ? "the same" : formatDifference(clockAheadMs)}
      />
      <Fact name="Version" text={node.version ?? "–"} />
    </dl>
  )
}

export interface NodeCardProps {
  readonly node: NodeSample
  readonly nowMs: number
  readonly colour: number
  readonly children: ComponentChildren
}

export const NodeCard = ({ children, colour, node, nowMs }: NodeCardProps) => {
  const { endpoint, nodeId, problem, unreachableSinceMs, waiting } = node
  return (
    <article
      class={`card ${levelOf(node)} series-${colour}`}
      aria-label={nodeId === null ? endpoint : `Node ${nodeId}`}
    >
      <h3>
        <span>{nodeId === null ? "Node" : `Node ${nodeId}`}</span>
        <span class={`role ${levelOf(node)}`}>{roleOf(node)}</span>
      </h3>
      <p class="quiet endpoint">{endpoint}</p>
      {waiting === null ? null : <p>{waiting}</p>}
      {problem === null
        ? <Facts node={node} />
        : (
          <p>
            Not reachable{unreachableSinceMs === null ? "" : ` for ${span(nowMs - unreachableSinceMs)}`}:{" "}
            <span class="reason">{problem}</span>
          </p>
        )}
      {children}
    </article>
  )
}
