// What pages cannot do without a script. Everything here is a comfort: each page works without it.
(() => {
  const $ = (s, e = document) => e.querySelector(s), $$ = (s, e = document) => [...e.querySelectorAll(s)]
  const rough = s => s < 60 ? `${s | 0} s` : s < 3600 ? `${s / 60 | 0} min` : s < 172800 ? `${s / 3600 | 0} h` : `${s / 86400 | 0} days`
  const times = () => $$('time[datetime]').forEach(t => {
    const at = new Date(t.dateTime), s = (Date.now() - at) / 1000
    t.textContent = s < 0 ? `in ${rough(-s)}` : s < 5 ? 'just now' : `${rough(s)} ago`
    if (!t.dataset.local) { t.title += `, ${t.dataset.local = at.toLocaleString()} here` }
  })
  const settle = () => {
    times()
    const d = $('#dialog dialog:not([open])')
    if (d) { d.showModal(); d.addEventListener('close', () => d.remove()) }
    $('[data-focus]')?.focus()
  }
  addEventListener('DOMContentLoaded', settle)
  document.addEventListener('htmx:after:swap', settle)
  setInterval(times, 10000)
  document.addEventListener('click', async e => {
    const b = e.target.closest('[data-copy],[data-close],[data-print]')
    if (!b) return
    if ('close' in b.dataset && b.closest('dialog')) { e.preventDefault(); b.closest('dialog').close() }
    if (b.dataset.copy) {
      const text = $(b.dataset.copy).textContent, was = b.textContent
      try { await navigator.clipboard.writeText(text) } catch { getSelection().selectAllChildren($(b.dataset.copy)); document.execCommand('copy') }
      b.textContent = 'Copied'; setTimeout(() => b.textContent = was, 1500)
    }
  })
  document.addEventListener('change', e => {
    const all = e.target.closest('[data-all]')
    if (all) $$(all.dataset.all).forEach(c => c.checked = all.checked)
    const bulk = $('#bulk')
    if (bulk) { const n = $$('[name=id]:checked').length; bulk.hidden = !n; $$('[data-count]', bulk).forEach(c => c.textContent = n) }
  })
  // Live rows: those that come while someone reads further down wait behind a pill, and the oldest go.
  const fresh = $('#fresh')
  document.addEventListener('htmx:after:swap', () => {
    const live = $('#live'); if (!live) return
    while (live.rows.length > 300) live.deleteRow(-1)
  })
  document.addEventListener('htmx:sse:error', () => { const p = $('#pulse'); if (p) { p.hidden = false; p.textContent = (p.n = (p.n | 0) + 1) > 3 ? 'Live updates are off. Refresh' : 'Reconnecting…' } })
  document.addEventListener('htmx:sse:after:connection', () => { const p = $('#pulse'); if (p) { p.hidden = true; p.n = 0 } })
  // List keys: j and k move, Enter opens, x selects, / searches.
  document.addEventListener('keydown', e => {
    if (!('shortcuts' in document.body.dataset) || e.ctrlKey || e.metaKey || e.altKey || e.target.closest('input,textarea,select,dialog')) return
    const rows = $$('tr[data-href]'), at = rows.findIndex(r => r.contains(document.activeElement))
    const go = i => rows[i] && $('a', rows[i])?.focus()
    const keys = { j: () => go(at + 1), k: () => go(Math.max(at - 1, 0)), x: () => $('[name=id]', rows[at])?.click(), r: () => $('[data-key=r]')?.click(), '/': () => $('#find').focus() }
    if (keys[e.key]) { e.preventDefault(); keys[e.key]() }
  })
})()
