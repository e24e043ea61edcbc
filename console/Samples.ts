/** The samples of the cluster: they come while the overview is looked at, and what came stays while the page is open. */
import { useEffect, useState } from "preact/hooks"
import { streamWhileSeen } from "./Api.ts"
import { Pace } from "./Pace.ts"
import type { Sample } from "./Types.ts"

/** Five minutes, up to ten of busy nodes. */
const maxSamples = 300

let kept: ReadonlyArray<Sample> = []

/** Appends what is later than what there is. */
export const merged = (before: ReadonlyArray<Sample>, came: ReadonlyArray<Sample>): ReadonlyArray<Sample> => {
  const last = before[before.length - 1]?.atMs ?? 0
  return [...before, ...came.filter(({ atMs }) => atMs > last)].slice(-maxSamples)
}

export interface Live {
  readonly samples: ReadonlyArray<Sample>
  readonly problem: string | undefined
}

/** What must not wait: who leads, which nodes answer, and what there is to look at. */
const standing = (sample: Sample | undefined): string =>
  sample === undefined ? "" : JSON.stringify([
    sample.leader,
    sample.term,
    sample.nodes.map(({ membership, problem, role, waiting }) => [membership, problem, role, waiting]),
    sample.warnings.map(({ id, level }) => [id, level])
  ])

/** Calls back when the frame that is being made has been drawn. */
const afterFrame = (drawn: () => void): void => {
  const { port1, port2 } = new MessageChannel()
  port1.onmessage = () => {
    port1.close()
    drawn()
  }
  port2.postMessage(undefined)
}

export const useSamples = (): Live => {
  const [live, setLive] = useState<Live>({ samples: kept, problem: undefined })
  useEffect(() => {
    const pace = new Pace()
    let shown = ""
    let frame: number | undefined
    const draw = () => {
      frame = undefined
      const beginMs = performance.now()
      setLive({ samples: kept, problem: undefined })
      afterFrame(() => pace.drew(beginMs, performance.now() - beginMs))
    }
    const stop = streamWhileSeen("/console/events", {
      onEvent: (_, data) => {
        kept = merged(kept, data as ReadonlyArray<Sample>)
        const now = standing(kept[kept.length - 1])
        if (frame !== undefined || (now === shown && !pace.isDue(performance.now()))) return
        shown = now
        frame = requestAnimationFrame(draw)
      },
      onProblem: (problem) => setLive({ samples: kept, problem })
    })
    return () => {
      stop()
      if (frame !== undefined) cancelAnimationFrame(frame)
    }
  }, [])
  return live
}
