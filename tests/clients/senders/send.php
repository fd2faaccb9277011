<?php
// Sends orders as a shop's server does, by PHP's streams: NAME ADDRESS…; prints a line for each answer.

[, $name] = $argv;
$lines = [['id' => '12793', 'quantity' => 2, 'price' => '99.95'], ['id' => 7, 'quantity' => 1, 'price' => 1]];

function send(string $url, array $options = []): void
{
    $text = file_get_contents($url, false, stream_context_create(['http' => $options + ['timeout' => 60, 'ignore_errors' => true]]));
    echo explode(' ', $http_response_header[0])[1], ' ', $text, "\n";
}

foreach (array_slice($argv, 2) as $at => $address) {
    $url = "$address/v2/log/sale";
    $sale = fn (string $how) => ['key' => 'demo-public-key', 'sale' => "$name-$at-$how", 'products' => $lines];
    $post = ['method' => 'POST', 'header' => 'Content-Type: application/x-www-form-urlencoded'];
    send($url, $post + ['content' => json_encode($sale('json'))]);
    send("$url?" . http_build_query($sale('query')));
    send($url, $post + ['content' => http_build_query($sale('form'))]);
}
