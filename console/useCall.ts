/** What the node answers to a call, while a part of the page is shown. */
import { useCallback, useEffect, useState } from "preact/hooks"
import { call } from "./Api.ts"

export interface Asked<A> {
  readonly answer: A | undefined
  readonly problem: string | undefined
  readonly again: () => void
}

/** Asks when it is first shown, when what is asked for changes, and `everyMs` where that is given. */
export const useCall = <A>(name: string, payload: object, everyMs?: number): Asked<A> => {
  const [state, setState] = useState<
    { readonly asked: string; readonly answer: A | undefined; readonly problem?: string }
  >({
    asked: "",
    answer: undefined
  })
  const [turn, setTurn] = useState(0)
  const asked = `${name} ${JSON.stringify(payload)}`
  useEffect(() => {
    const stop = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const ask = async () => {
      try {
        const answer = await call<A>(name, payload, stop.signal)
        setState({ asked, answer })
      } catch (error) {
        if (stop.signal.aborted) return
        // What was there stays, with what is wrong now.
        setState((before) => ({
          asked,
          answer: before.asked === asked ? before.answer : undefined,
          problem: error instanceof Error ? error.message : String(error)
        }))
      }
      // A page that is not looked at asks for nothing.
      if (everyMs !== undefined && !stop.signal.aborted) timer = setTimeout(next, everyMs)
    }
    const next = () => {
      if (document.hidden) timer = setTimeout(next, everyMs)
      else void ask()
    }
    void ask()
    return () => {
      stop.abort()
      clearTimeout(timer)
    }
  }, [asked, turn, everyMs])
  const again = useCallback(() => setTurn((now) => now + 1), [])
  const isCurrent = state.asked === asked
  return { answer: isCurrent ? state.answer : undefined, problem: isCurrent ? state.problem : undefined, again }
}
