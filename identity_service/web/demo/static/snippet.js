/* The README's tag, in a file of its own because these pages allow no inline script. */
window.__clerk_q=window.__clerk_q||[];window.Clerk=window.Clerk||function(){__clerk_q.push(arguments)};
Clerk('config', {key: 'demo-public-key'});
