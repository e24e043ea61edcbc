/** How the page asks its node: calls, and streams of events. A token stays in this tab and goes only to this node. */

const storedToken = "flaredb-token"

/** Streams begin again after this long, in milliseconds; a little longer each time. */
const firstPauseMs = 500
const longestPauseMs = 5_000

/** A stream on which nothing came for so long has lost its node, in milliseconds. */
const silenceMs = 15_000

/** A call that is not answered for so long has lost its node, in milliseconds. */
const answerMs = 60_000

/** What the node answered instead. */
export class CallFailed extends Error {
  readonly tag: string

  constructor(tag: string, message: string) {
    super(message)
    this.tag = tag
  }
}

let onLogin: () => void = () => undefined

/** Has `listener` called when the node asks who this is. */
export const whenLoginIsNeeded = (listener: () => void): void => {
  onLogin = listener
}

export const hasToken = (): boolean => sessionStorage.getItem(storedToken) !== null

export const useToken = (token: string | undefined): void => {
  if (token === undefined) sessionStorage.removeItem(storedToken)
  else sessionStorage.setItem(storedToken, token)
}

const headers = (): Record<string, string> => {
  const token = sessionStorage.getItem(storedToken)
  return { "x-flaredb-console": "1", ...token === null ? {} : { authorization: `Bearer ${token}` } }
}

const failureIn = async (response: Response): Promise<CallFailed> => {
  const text = await response.text()
  if (response.status === 401) onLogin()
  try {
    const { message, tag } = JSON.parse(text) as { readonly tag: string; readonly message: string }
    return new CallFailed(tag, message)
  } catch {
    return new CallFailed(response.status === 401 ? "Unauthenticated" : `HTTP ${response.status}`, text.trim())
  }
}

/** Asks the node, and gives what it answers. */
export const call = async <A>(name: string, payload: object = {}, signal?: AbortSignal): Promise<A> => {
  let response: Response
  const late = AbortSignal.timeout(answerMs)
  try {
    response = await fetch(`/console/calls/${name}`, {
      method: "POST",
      headers: { ...headers(), "content-type": "application/json" },
      body: JSON.stringify(payload),
      signal: signal === undefined ? late : AbortSignal.any([signal, late])
    })
  } catch (error) {
    if (signal?.aborted === true) throw error
    if (late.aborted) {
      throw new CallFailed(
        "Unreachable",
        "this node did not answer for a minute; what was asked for may have been done"
      )
    }
    throw new CallFailed("Unreachable", "this node does not answer; open the console of another one")
  }
  if (!response.ok) throw await failureIn(response)
  return await response.json() as A
}

export interface StreamListener {
  readonly onEvent: (event: string, data: unknown) => void
  /** `undefined` while it runs. */
  readonly onProblem: (problem: string | undefined) => void
}

/** Calls `onEvent` for each event in the text of a response. */
const readEvents = async (
  body: ReadableStream<Uint8Array>,
  onEvent: StreamListener["onEvent"],
  alive: () => void
): Promise<void> => {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader()
  let rest = ""
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    alive()
    const events = (rest + value).split("\n\n")
    rest = events.pop() ?? ""
    for (const text of events) {
      const name = /^event: (.*)$/m.exec(text)?.[1]
      const data = /^data: (.*)$/m.exec(text)?.[1]
      if (name !== undefined && data !== undefined) onEvent(name, JSON.parse(data))
    }
  }
}

const paused = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener("abort", () => {
      clearTimeout(timer)
      resolve()
    }, { once: true })
  })

/** One request whose events are read until it ends. */
const streamOnce = async (path: string, listener: StreamListener, signal: AbortSignal): Promise<void> => {
  const silence = new AbortController()
  let timer = setTimeout(() => silence.abort(), silenceMs)
  const alive = () => {
    clearTimeout(timer)
    timer = setTimeout(() => silence.abort(), silenceMs)
  }
  try {
    const response = await fetch(path, { headers: headers(), signal: AbortSignal.any([signal, silence.signal]) })
    if (!response.ok || response.body === null) throw await failureIn(response)
    listener.onProblem(undefined)
    await readEvents(response.body, (event, data) => {
      if (event !== "failure") return listener.onEvent(event, data)
      const { message, tag } = data as { readonly tag: string; readonly message: string }
      if (tag === "Unauthenticated") onLogin()
      throw new CallFailed(tag, message)
    }, alive)
  } finally {
    clearTimeout(timer)
  }
}

/** Refusals that another attempt meets again. */
const isFinal = (error: unknown): boolean =>
  error instanceof CallFailed &&
  ["Unauthenticated", "Unauthorized", "TokenNeeded", "InvalidArgument"].includes(error.tag)

/** Listens, and begins again when the connection is lost, until what is returned is called. */
export const stream = (path: string, listener: StreamListener): () => void => {
  const stop = new AbortController()
  const run = async () => {
    let pauseMs = firstPauseMs
    while (!stop.signal.aborted) {
      let problem = "the connection to this node was lost; trying again"
      try {
        await streamOnce(path, {
          ...listener,
          onEvent: (event, data) => {
            pauseMs = firstPauseMs
            listener.onEvent(event, data)
          }
        }, stop.signal)
      } catch (error) {
        if (stop.signal.aborted) return
        if (error instanceof CallFailed) problem = error.message
        if (isFinal(error)) return listener.onProblem(problem)
      }
      if (stop.signal.aborted) return
      listener.onProblem(problem)
      await paused(pauseMs, stop.signal)
      pauseMs = Math.min(longestPauseMs, pauseMs * 1.5)
    }
  }
  void run()
  return () => stop.abort()
}

/** The same while the page is seen: a tab in the background does not look, and costs nothing. */
export const streamWhileSeen = (path: string, listener: StreamListener): () => void => {
  let stop: (() => void) | undefined
  const look = () => {
    if (document.hidden) {
      stop?.()
      stop = undefined
    } else stop ??= stream(path, listener)
  }
  look()
  document.addEventListener("visibilitychange", look)
  return () => {
    document.removeEventListener("visibilitychange", look)
    stop?.()
  }
}
