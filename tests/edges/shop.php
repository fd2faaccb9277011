<?php
// A shop's front controller around the edge.
require getenv('EDGE');
session_start();
ob_start();
[, $path, $choice] = explode('/', $_SERVER['REQUEST_URI']) + ['', '', ''];
if ($path === 'order') echo sale(json_decode(file_get_contents('php://input'), true)) ? 'kept' : 'lost';
elseif ($path === 'consent') echo consent($choice) ? 'kept' : 'lost';
else echo visitor() ?? 'nobody';
