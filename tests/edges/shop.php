<?php
// A shop's front controller around the edge.
require getenv('EDGE');
session_start();
ob_start();
if ($_SERVER['REQUEST_URI'] === '/order') echo sale(json_decode(file_get_contents('php://input'), true)) ? 'kept' : 'lost';
else echo visitor() ?? 'nobody';
