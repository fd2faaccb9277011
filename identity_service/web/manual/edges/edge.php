<?php
// A storefront's edge: require it in a started session, and call before any output. visitor() gives the ID or null,
// sale(['sale' => 'A-1', 'products' => [...], 'email' => ...]) true once it is kept.
// Set IDENTITY_URL, the service's address, and IDENTITY_KEY, a private key.

function ask(string $path, array $body, array $pauses = [0]): array {
    $cookies = strtr($_SERVER['HTTP_COOKIE'] ?? '', "\r\n", '  ');
    $key = 'Authorization: Bearer ' . getenv('IDENTITY_KEY');
    $call = ['method' => 'POST', 'timeout' => 0.5, 'ignore_errors' => true, 'follow_location' => 0];
    $call['header'] = [$key, 'Content-Type: application/json', "Cookie: $cookies"];
    $call['content'] = json_encode($body, JSON_INVALID_UTF8_SUBSTITUTE);
    foreach ($pauses as $milliseconds) {
        usleep($milliseconds * 1000);
        $stream = @fopen(getenv('IDENTITY_URL') . $path, 'r', false, stream_context_create(['http' => $call]));
        $head = $stream ? stream_get_meta_data($stream)['wrapper_data'] : [];
        foreach (preg_grep('/^Set-Cookie:/i', $head) as $line) header($line, false);
        $answer = $stream ? json_decode(stream_get_contents($stream, 65536), true) : null;
        if (is_array($answer) && !preg_match('/ (429|5\d\d)/', $head[0])) return $answer;
    }
    return [];
}

function agent(): array {
    $from = ['signature_agent' => 'HTTP_SIGNATURE_AGENT', 'signature_input' => 'HTTP_SIGNATURE_INPUT'];
    $from += ['signature' => 'HTTP_SIGNATURE', 'authority' => 'HTTP_HOST', 'method' => 'REQUEST_METHOD'];
    return array_map(fn($name) => $_SERVER[$name] ?? null, $from + ['target' => 'REQUEST_URI']);
}

function visitor(): ?string {
    $client = ['ip' => $_SERVER['REMOTE_ADDR'], 'user_agent' => $_SERVER['HTTP_USER_AGENT'] ?? null];
    $client += ['gpc' => $_SERVER['HTTP_SEC_GPC'] ?? 0, 'agent' => agent()];
    $token = isset($_COOKIE['__Host-visitor']) ? null : $_SESSION['visitor_token'] ?? null;
    $found = ask('/v1/visitors', ['client' => $client, 'token' => $token]);
    if (($found['decision']['reason'] ?? 'store_unavailable') === 'store_unavailable') return null; // the token stays
    $_SESSION['visitor_token'] = $found['token'] ?? null; // null: this visitor has no ID
    return is_string($found['visitor'] ?? null) ? $found['visitor'] : null;
}

function sale(array $order): bool {
    $asked = array_key_exists('visitor_token', $_SESSION ?? []);
    if ($asked) $order['visitor'] = $_SESSION['visitor_token']; // absent: nobody could be asked
    return (ask('/v2/log/sale', $order + ['agent' => agent()], [0, 200, 400])['status'] ?? '') === 'ok';
}
